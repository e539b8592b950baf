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

import importlib.metadata
import inspect
import typing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from avnb.data.shards import prepare
from avnb.data.sources import ClipSettings
from avnb.errors import AvnbError, ClipsError, DownloadError

GROUP = "avnb.prepare"


def list_scripts() -> dict[str, importlib.metadata.EntryPoint]:
    """Every installed script by its name, in the order of the names."""
    found = importlib.metadata.entry_points(group=GROUP)
    return {one.name: one for one in sorted(found, key=lambda one: one.name)}


def load_script(name: str) -> ModuleType:
    """The module of a script, or an error that lists the right names."""
    known = list_scripts()
    if name not in known:
        raise ClipsError(
            f"script {name!r}",
            "there is no such script",
            f"Give one of: {', '.join(known) or '(none is installed)'}",
        )
    return known[name].load()


def build_app() -> typer.Typer:
    """All scripts as one Typer app, a command each: mount it as ``prepare``."""
    app = typer.Typer(no_args_is_help=True, help="Turn recordings into prepared clips.")
    for name in list_scripts():
        app.command(name)(command(load_script(name)))
    return app


def main(module: ModuleType) -> None:
    """Run one script: what ``python data_scripts/NAME.py`` does."""
    typer.run(command(module))


def command(module: ModuleType) -> Callable[..., None]:
    """The command of a script: its own options after the common ones."""
    if not hasattr(module, "find_sources"):  # it makes a table of sounds
        return module.run
    default: ClipSettings = module.SETTINGS

    def run(
        source: Annotated[Path, typer.Option(help="the data set's folder")],
        out: Annotated[Path, typer.Option(help="where the prepared clips go")],
        download: Annotated[bool, typer.Option("--download", help="fetch it")] = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="check and say, write nothing")
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
        **options: Any,
    ) -> None:
        try:
            settings = replace(
                default, fps=fps, size=size, seconds=seconds, hop=hop,
                sample_rate=sample_rate, seed=seed,
            )  # fmt: skip
            if download:
                if not hasattr(module, "download"):
                    raise DownloadError(f"{module.NAME}: nothing to download. {about}")
                module.download(source)
            if writes:
                options["dry_run"] = dry_run
            found, problems = module.find_sources(source, settings, **options)
            report = prepare(
                found, out, settings, problems=problems, workers=workers,
                dry_run=dry_run,
            )  # fmt: skip
        except AvnbError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from None
        typer.echo(report)
        if not (report.written or report.skipped):
            raise typer.Exit(1)

    about = inspect.cleandoc(module.ABOUT)
    own = typing.get_type_hints(module.find_sources, include_extras=True)
    given = inspect.signature(module.find_sources).parameters.values()
    writes = any(p.name == "dry_run" for p in given)  # it makes the data set itself
    extra = [
        p.replace(annotation=own[p.name])
        for p in given
        if p.kind is p.KEYWORD_ONLY and p.name != "dry_run"
    ]
    common = typing.get_type_hints(run, include_extras=True, localns=locals())
    plain = [
        p.replace(annotation=common[p.name], kind=p.KEYWORD_ONLY)
        for p in inspect.signature(run).parameters.values()
        if p.kind is not p.VAR_KEYWORD
    ]
    root = Path("data")
    places = {"source": root / module.NAME, "out": root / f"{module.NAME}_clips"}
    plain = [p.replace(default=places.get(p.name, p.default)) for p in plain]
    run.__signature__ = inspect.Signature([*plain, *extra])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*plain, *extra)}
    run.__doc__ = about
    run.__name__ = module.NAME
    return run
