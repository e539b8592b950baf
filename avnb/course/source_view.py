"""The live source of a definition, shown in a notebook."""

import html
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.display import HTML

BOX = "avnb-source"  # the class of the highlighted source
# Styles of Pygments, each with a contrast of 4.5 or more everywhere (WCAG 2.1, 1.4.3).
LIGHT, DARK = "xcode", "monokai"
# How JupyterLab (and nbconvert), VS Code and Colab say that their theme is dark. What
# the operating system prefers is no sign: a notebook's theme is a choice of its own.
DARK_PAGES = 'body[data-jp-theme-light="false"], body.vscode-dark, html[theme="dark"]'


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
    """Highlighted Python as HTML, with its own colours for light and dark pages."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    page: str = highlight(source, PythonLexer(), HtmlFormatter(cssclass=BOX))
    return f"<style>{write_style_sheet()}</style>{page}"


def write_style_sheet() -> str:
    """The style sheet of the highlighted source.

    It sets text and background together, so that no front end mixes its own text with
    our background. Light is what holds where no front end says that it is dark. Where a
    style sheet is not allowed (GitHub, a notebook that is not trusted), the source has
    the page's own two colours.
    """
    from pygments.formatters import HtmlFormatter

    rules = []
    for selector, style, text in (
        (f".{BOX}", LIGHT, "#000000"),
        (f":is({DARK_PAGES}) .{BOX}", DARK, "#f8f8f2"),
    ):
        colours = HtmlFormatter(style=style)
        background = colours.style.background_color
        rules.append(f"{selector} {{ background: {background}; color: {text} }}")
        # Not `get_style_defs`: it has a rule for every <pre> of the whole page, too.
        rules += colours.get_token_style_defs(selector)
    # JupyterLab gives every <pre> colours of its own.
    rules.append(f"div.{BOX} pre {{ background: none; color: inherit; margin: 0 }}")
    rules.append(f"div.{BOX} {{ padding: 0.4em; overflow-x: auto }}")
    return "\n".join(rules)
