"""Scripts that prepare a data set: found by entry points, turned into commands.

A script is a module that some distribution declares in its `pyproject.toml`::

    [project.entry-points."avnb.prepare"]
    ave = "data_scripts.ave"

It holds NAME, ABOUT, SETTINGS (its defaults) and
``find_sources(folder, settings, *, ...) -> (sources, problems)``, whose keyword
arguments become options; ``download(folder)`` where there is a source to download
from. One that makes a table of sounds instead of clips has its own ``run``. Each runs
alone (``python data_scripts/folder.py --help``) and as ``avnb prepare NAME``.
"""

from __future__ import annotations

import copy
import importlib.metadata
import inspect
import typing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.markup import escape

from avnb.data.shards import TIME_LIMIT, prepare
from avnb.data.sources import ClipSettings, require_separate
from avnb.errors import AvnbError, ClipsError, DownloadError

GROUP = "avnb.prepare"


def list_scripts() -> dict[str, importlib.metadata.EntryPoint]:
    """List every installed script by its name, in the order of the names."""
    found = importlib.metadata.entry_points(group=GROUP)
    return {one.name: one for one in sorted(found, key=lambda one: one.name)}


def load_script(name: str) -> ModuleType:
    """Load the module of a script.

    Raises:
        ClipsError: there is no such script; it lists the right names.
    """
    known = list_scripts()
    if name not in known:
        raise ClipsError(
            f"script {name!r}",
            "there is no such script",
            f"Give one of: {', '.join(known) or '(none is installed)'}",
        )
    module: ModuleType = known[name].load()
    return module


def build_app() -> typer.Typer:
    """Build one Typer app of all scripts, a command each: mount it as ``prepare``."""
    app = typer.Typer(no_args_is_help=True, help="Turn recordings into prepared clips.")
    for name in list_scripts():
        app.command(name)(build_command(load_script(name)))
    return app


def main(module: ModuleType) -> None:
    """Run one script: what ``python data_scripts/NAME.py`` does."""
    typer.run(build_command(module))


def build_command(module: ModuleType) -> Callable[..., None]:
    """Build the command of a script: the common options, then its own.

    The script's settings are the defaults of the common options. Typer reads options
    off a function's signature, so the two lists are joined in one signature.
    """
    # A table of sounds has none of the options of clips, so it brings its command.
    if not hasattr(module, "find_sources"):
        command: Callable[..., None] = module.run
        return command
    default: ClipSettings = module.SETTINGS

    def run(
        source: Annotated[Path, typer.Option(help="the data set's folder")],
        out: Annotated[Path, typer.Option(help="where the prepared clips go")],
        download: Annotated[bool, typer.Option("--download", help="fetch it")] = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="check and say, write nothing")
        ] = False,
        prune: Annotated[
            bool, typer.Option("--prune", help="remove clips whose sources are gone")
        ] = False,
        fps: Annotated[float, typer.Option(help="frames a second")] = default.fps,
        size: Annotated[int, typer.Option(help="pixels a side")] = default.size,
        seconds: Annotated[float, typer.Option(help="of a clip")] = default.seconds,
        hop: Annotated[
            float | None,
            typer.Option(help="s between clips; as --seconds if not given"),
        ] = default.hop,
        sample_rate: Annotated[int, typer.Option(help="Hz")] = default.sample_rate,
        seed: Annotated[int, typer.Option(help="of the split")] = default.seed,
        workers: Annotated[
            int | None, typer.Option(help="processes; one a core if not given")
        ] = None,
        channel: Annotated[
            int | None,
            typer.Option(help="of the sound, 0 the first; their average if not given"),
        ] = default.channel,
        time_limit: Annotated[
            float, typer.Option(help="s that one clip may take before a file is left")
        ] = TIME_LIMIT,
        **options: Any,
    ) -> None:
        try:
            # `replace` keeps what no option sets, such as the share of the test
            settings = replace(
                default, fps=fps, size=size, seconds=seconds, hop=hop,
                sample_rate=sample_rate, seed=seed, channel=channel,
            )  # fmt: skip
            require_separate(source, out)
            if download:
                _download(module, source)
            if _takes_dry_run(module):
                options["dry_run"] = dry_run
            found, problems = module.find_sources(source, settings, **options)
            report = prepare(
                found, out, settings, problems=problems, workers=workers,
                dry_run=dry_run, prune=prune, time_limit=time_limit,
            )  # fmt: skip
        except AvnbError as error:  # anything else is our mistake: with traceback
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from None
        typer.echo(report)
        # Scripts that call this one must notice that there is nothing to train on.
        if not (report.written or report.skipped or report.kept):
            raise typer.Exit(1)

    _set_signature(run, module)
    return run


def _download(module: ModuleType, folder: Path) -> None:
    if not hasattr(module, "download"):
        raise DownloadError(
            module.NAME,
            "there is nothing to download",
            f"Get the files yourself:\n{inspect.cleandoc(module.ABOUT)}",
        )
    module.download(folder)


def _escape_help(annotation: Any) -> Any:
    """The annotation of an option whose help rich prints as it stands."""
    kind, *notes = typing.get_args(annotation)
    shown = []
    for note in notes:
        note = copy.copy(note)  # not to be escaped a second time by the next command
        if getattr(note, "help", None):
            note.help = escape(note.help)
        shown.append(note)
    return Annotated[(kind, *shown)]


def _takes_dry_run(module: ModuleType) -> bool:
    """Whether looking for sources writes files: such a script makes its data set."""
    return "dry_run" in inspect.signature(module.find_sources).parameters


def _set_signature(run: Callable[..., None], module: ModuleType) -> None:
    """Give a script's command its name, its help and all of its options."""
    # include_extras: without it the options' help would be dropped
    own = typing.get_type_hints(module.find_sources, include_extras=True)
    extra = [
        p.replace(annotation=_escape_help(own[p.name]))
        for p in inspect.signature(module.find_sources).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name != "dry_run"
    ]
    # This module's annotations are texts, which Typer could not resolve in `run`.
    common = typing.get_type_hints(run, include_extras=True)
    root = Path("data")
    places = {"source": root / module.NAME, "out": root / f"{module.NAME}_clips"}
    options = [
        p.replace(
            annotation=common[p.name],
            kind=p.KEYWORD_ONLY,
            default=places.get(p.name, p.default),
        )
        for p in inspect.signature(run).parameters.values()
        if p.kind is not p.VAR_KEYWORD
    ]
    function: Any = run  # mypy knows no settable signature on a callable
    function.__signature__ = inspect.Signature([*options, *extra])
    function.__annotations__ = {p.name: p.annotation for p in (*options, *extra)}
    # Typer prints help by rich, which would take avnb[youtube] for markup.
    function.__doc__ = escape(inspect.cleandoc(module.ABOUT))
    function.__name__ = module.NAME
