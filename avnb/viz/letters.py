"""Letters that matplotlib's own font lacks: another font for them, or their numbers.

Matplotlib draws a box for each letter that no font has. A class may have any name, and
a figure full of boxes says nothing.
"""

from functools import cache

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

# Fonts with the letters of many languages, as systems bring them along.
_WIDE = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC",
    "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "PingFang SC",
    "Hiragino Sans", "Apple SD Gothic Neo", "Microsoft YaHei", "Malgun Gothic",
    "SimHei", "Arial Unicode MS", "Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew",
    "Noto Sans Devanagari", "Noto Sans Thai",
)  # fmt: skip


@cache
def list_fonts() -> tuple[str, ...]:
    """The fonts of a figure, in the order in which a letter is looked for."""
    installed = {font.name for font in fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in _WIDE if name in installed))


@cache
def _is_known(letter: str) -> bool:
    # A line end is no letter of a font, and matplotlib splits the text there.
    return letter == "\n" or any(
        get_font(findfont(FontProperties(family=[name]))).get_char_index(ord(letter))
        for name in list_fonts()
    )


def spell_letters(text: str) -> str:
    r"""The text with each letter that no font has as its number, such as \u5c0f."""
    return "".join(
        letter if _is_known(letter) else f"\\u{ord(letter):04x}" for letter in text
    )


def spell_figure(figure: Figure) -> None:
    """Spell the letters that no font has in all texts of a figure."""
    for axis in figure.findobj(Axis):
        # Asked for first, so that a figure without such letters stays as it is.
        labels = [label.get_text() for label in axis.get_ticklabels(which="both")]
        if any(spell_letters(label) != label for label in labels):
            # An axis writes its labels anew each time it is drawn.
            plain = axis.get_major_formatter()
            axis.set_major_formatter(
                FuncFormatter(lambda x, at, plain=plain: spell_letters(plain(x, at)))
            )
    for text in figure.findobj(Text):
        if (spelt := spell_letters(text.get_text())) != text.get_text():
            text.set_text(spelt)
