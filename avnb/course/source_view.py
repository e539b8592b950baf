"""The live source of a definition, shown in a notebook."""

import html
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.display import HTML


def show_source(*definitions: Callable[..., Any]) -> HTML:
    """The live source of functions or classes, folded, with where it comes from."""
    parts = []
    # A decorated function would show the source of its decorator.
    for definition in map(inspect.unwrap, definitions):
        lines, first = inspect.getsourcelines(definition)
        path = Path(inspect.getsourcefile(definition) or "?").absolute()
        # A notebook may be published: the whole path would name this machine's folders.
        where = _shorten(path)
        parts.append(
            f"<details><summary><code>{html.escape(definition.__qualname__)}</code> "
            f"from {html.escape(str(where))}, line {first}</summary>"
            f"{_highlight(''.join(lines))}</details>"
        )
    return HTML("".join(parts))


def _shorten(path: Path) -> Path:
    """A file's place below the folder of its outermost package, or its name."""
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return path.relative_to(folder) if folder != path.parent else Path(path.name)


def _highlight(source: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    # noclasses: the colours stand in the HTML itself, so that no style sheet is needed.
    page: str = highlight(source, PythonLexer(), HtmlFormatter(noclasses=True))
    return page
