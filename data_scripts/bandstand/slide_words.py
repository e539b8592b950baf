"""What slides show and sing: letters, their words, how they sound, how they look.

This is a table. A new word is one more entry: its phones (see `songs.PHONES`) and its
drawing, a text of shapes that `slide_pictures.draw_object` draws in their order.

Each line of a drawing is a shape: ``KIND COLOUR NUMBERS``, in a square from -50 to 50,
x to the right and y down. ``e`` is an ellipse (x y rx ry), ``p`` a polygon and ``s`` a
smooth shape (x y x y ...), ``l`` a line (width x y x y ...), ``c`` a smooth line.
"""

from __future__ import annotations

from dataclasses import dataclass

from data_scripts.bandstand.canvas import Colour


@dataclass(frozen=True)
class Word:
    """A word of the song.

    Attributes:
        text: as it is written.
        phones: its sounds, a syllable a vowel.
        drawing: its shapes, one a line.
    """

    text: str
    phones: tuple[str, ...]
    drawing: str


COLOURS: dict[str, Colour] = {
    "black": (0.10, 0.09, 0.10),
    "white": (0.98, 0.98, 0.97),
    "grey": (0.62, 0.64, 0.67),
    "dark": (0.32, 0.34, 0.38),
    "red": (0.86, 0.16, 0.16),
    "orange": (0.97, 0.55, 0.12),
    "yellow": (0.99, 0.83, 0.18),
    "green": (0.25, 0.65, 0.27),
    "leaf": (0.14, 0.45, 0.20),
    "blue": (0.18, 0.45, 0.85),
    "sky": (0.60, 0.82, 0.96),
    "purple": (0.55, 0.29, 0.68),
    "pink": (0.97, 0.62, 0.70),
    "brown": (0.50, 0.30, 0.16),
    "wood": (0.74, 0.52, 0.30),
    "cream": (0.97, 0.90, 0.75),
}

# How the names of the letters sound.
LETTERS: dict[str, tuple[str, ...]] = {
    "A": ("e", "i"),
    "B": ("b", "i"),
    "C": ("s", "i"),
    "F": ("e", "f"),
    "H": ("e", "ch"),
    "M": ("e", "m"),
    "S": ("e", "s"),
    "T": ("t", "i"),
}


def _word(text: str, phones: str, *shapes: str) -> Word:
    return Word(text, tuple(phones.split()), "\n".join(shapes))


WORDS: dict[str, tuple[Word, ...]] = {
    "A": (
        _word(
            "ant", "ae n t",
            "l black 3 -10 8 -22 30", "l black 3 0 8 2 32", "l black 3 8 8 24 30",
            "l black 3 -10 0 -24 -18", "l black 3 6 0 22 -18",
            "e brown -28 2 18 14", "e brown 0 2 12 10", "e brown 26 -4 14 13",
            "l black 2.5 30 -14 40 -34", "l black 2.5 24 -16 24 -36",
            "e white 30 -7 4.5 4.5", "e black 31 -7 2 2",
        ),
        _word(
            "apple", "ae p o l",
            "s red -34 0 -26 -26 -2 -22 24 -28 36 0 24 34 4 36 -24 36",
            "c brown 4 0 -22 4 -36 10 -44", "s green 6 -36 22 -46 34 -36 20 -28",
            "e pink -18 -8 5 9",
        ),
        _word(
            "arrow", "ae r o",
            "p blue -44 -9 8 -9 8 -28 46 0 8 28 8 9 -44 9",
            "p sky -44 -9 8 -9 8 -3 -44 -3",
        ),
        _word(
            "axe", "ae k s",
            "l wood 9 -22 44 18 -36", "s grey 8 -44 40 -30 46 0 28 6 8 -10",
            "s white 36 -30 42 -28 46 0 40 4",
        ),
    ),
    "B": (
        _word(
            "ball", "b o l",
            "e red 0 0 40 40",
            "s white -16 -36 0 -40 14 -36 10 0 14 36 0 40 -16 36 -8 0",
            "e yellow 0 0 9 9",
        ),
        _word(
            "bee", "b i",
            "e sky -8 -28 14 18", "e sky 14 -28 13 17", "e yellow 0 6 36 22",
            "p black -14 -15 -4 -16 -4 27 -14 27", "p black 10 -16 20 -13 20 24 10 28",
            "e white -26 0 5 5", "e black -27 0 2.5 2.5", "p black 34 2 46 6 34 11",
        ),
        _word(
            "boat", "b o t",
            "l brown 4 0 16 0 -46", "p white 4 -44 36 10 4 10",
            "p red -4 -36 -30 10 -4 10", "s wood -44 16 44 16 28 40 -28 40",
        ),
        _word(
            "book", "b u k",
            "p blue -46 -26 0 -20 46 -26 46 30 0 36 -46 30",
            "p white -41 -28 0 -22 0 30 -41 24", "p cream 41 -28 0 -22 0 30 41 24",
            "l grey 2.5 -34 -14 -8 -10", "l grey 2.5 -34 -2 -8 2",
            "l grey 2.5 34 -14 8 -10", "l grey 2.5 34 -2 8 2",
        ),
    ),
    "C": (
        _word(
            "car", "k a r",
            "s red -46 8 -28 -4 -18 -24 14 -24 26 -4 46 4 46 22 -46 22",
            "p sky -20 -4 -13 -18 0 -18 0 -4", "p sky 4 -4 4 -18 12 -18 20 -4",
            "e black -24 22 11 11", "e black 25 22 11 11", "e grey -24 22 4.5 4.5",
            "e grey 25 22 4.5 4.5",
        ),
        _word(
            "cat", "k ae t",
            "p orange -32 -8 -30 -44 -6 -26", "p orange 32 -8 30 -44 6 -26",
            "e orange 0 4 36 32", "e white -14 -2 7 8", "e white 14 -2 7 8",
            "e black -13 -1 3.5 5", "e black 13 -1 3.5 5", "p pink -5 11 5 11 0 17",
            "l black 1.8 -14 16 -40 12", "l black 1.8 14 16 40 12",
            "c black 2 -10 22 0 18 10 22",
        ),
        _word(
            "cup", "k a p",
            "c purple 8 24 -10 44 -12 40 14 22 16",
            "s purple -32 -28 28 -28 22 34 -24 34", "e pink -2 -28 30 7",
        ),
        _word(
            "cake", "k e k",
            "p pink -38 -4 38 -4 38 36 -38 36",
            "s white -42 -12 42 -12 40 6 26 0 14 10 2 2 -12 12 -26 2 -40 8",
            "p yellow -4 -34 4 -34 4 -12 -4 -12", "s orange 0 -48 5 -38 0 -34 -5 -38",
        ),
    ),
    "F": (
        _word(
            "fish", "f i sh",
            "p orange 20 0 46 -24 46 24", "e orange -6 0 36 24",
            "s yellow -4 -22 8 -40 16 -18", "e white -24 -6 6 6", "e black -25 -6 3 3",
            "c red 2.5 -8 -14 0 0 -8 14",
        ),
        _word(
            "flag", "f l ae g",
            "l dark 5 -34 46 -34 -46",
            "s green -32 -44 0 -36 20 -44 46 -38 44 0 20 -6 0 4 -32 -2",
            "e yellow 6 -20 10 10",
        ),
        _word(
            "flower", "f l a w er",
            "l leaf 5 0 10 0 48", "s leaf 0 36 16 20 30 24 14 38",
            "e pink 0 -32 12 14", "e pink 20 -16 14 12", "e pink 12 8 12 12",
            "e pink -12 8 12 12", "e pink -20 -16 14 12", "e yellow 0 -12 11 11",
        ),
        _word(
            "fox", "f o k s",
            "p orange -42 -42 -8 -22 -34 4", "p orange 42 -42 8 -22 34 4",
            "p orange -40 -16 40 -16 0 44", "p white -40 -14 -14 6 0 42",
            "p white 40 -14 14 6 0 42", "e black -14 -4 4 4", "e black 14 -4 4 4",
            "e black 0 38 6 5",
        ),
    ),
    "H": (
        _word(
            "hat", "h ae t",
            "e black 0 30 46 10", "p black -26 -34 26 -34 28 28 -28 28",
            "p red -28 10 28 10 28 24 -28 24", "e dark 0 -34 26 6",
        ),
        _word(
            "house", "h a u s",
            "p cream -32 -4 32 -4 32 42 -32 42", "p red -44 0 0 -44 44 0",
            "p brown -8 14 10 14 10 42 -8 42", "p sky -26 6 -14 6 -14 20 -26 20",
            "p sky 16 6 28 6 28 20 16 20",
        ),
        _word(
            "heart", "h a r t",
            "s red 0 42 -32 12 -42 -12 -30 -34 -10 -32 0 -16 10 -32 "
            "30 -34 42 -12 32 12",
            "e pink -24 -16 6 8",
        ),
        _word(
            "hammer", "h ae m er",
            "l wood 9 0 46 0 -20", "s grey -36 -36 20 -36 40 -24 20 -14 -36 -14",
        ),
    ),
    "M": (
        _word(
            "moon", "m u n",
            "s yellow 14 -44 -20 -36 -38 0 -20 36 16 44 -4 24 -10 0 -4 -24",
            "e orange -24 4 4 4",
        ),
        _word(
            "mouse", "m a u s",
            "c pink 3 30 22 46 10 40 -10", "e grey 2 14 34 22", "e grey -28 -6 14 14",
            "e pink -28 -6 8 8", "e grey -2 -12 13 13", "e pink -2 -12 7 7",
            "e black -24 12 3.5 3.5", "e pink -33 18 4 4",
        ),
        _word(
            "mug", "m a g",
            "c green 8 22 -12 42 -14 42 18 22 18",
            "p green -30 -30 26 -30 26 36 -30 36",
            "e brown -2 -30 28 6", "p yellow -30 -4 26 -4 26 8 -30 8",
        ),
        _word(
            "mushroom", "m a sh r u m",
            "s cream -14 0 14 0 18 42 -18 42",
            "s red -44 4 -34 -30 0 -44 34 -30 44 4 0 10", "e white -20 -14 7 6",
            "e white 4 -28 7 6", "e white 22 -10 7 6",
        ),
    ),
    "S": (
        _word(
            "sun", "s a n",
            "p yellow 0 -48 10 -24 34 -34 24 -10 48 0 24 10 34 34 10 24 0 48 -10 24 "
            "-34 34 -24 10 -48 0 -24 -10 -34 -34 -10 -24",
            "e orange 0 0 24 24",
        ),
        _word(
            "star", "s t a r",
            "p yellow 0 -46 12 -14 46 -14 19 6 29 40 0 20 -29 40 -19 6 -46 -14 -12 -14",
        ),
        _word(
            "snake", "s n e k",
            "c green 11 -42 26 -24 6 -6 26 14 4 6 -18 24 -32",
            "e green 30 -34 13 10", "e white 33 -38 4 4", "e black 34 -38 2 2",
            "l red 2 42 -32 50 -34",
        ),
        _word(
            "sock", "s o k",
            "s blue -20 -44 12 -44 12 8 34 22 38 38 20 42 -14 30 -20 10",
            "p white -22 -44 13 -44 13 -30 -22 -30", "e sky 30 34 9 8",
        ),
    ),
    "T": (
        _word(
            "tree", "t r i",
            "p brown -7 14 7 14 9 46 -9 46", "e leaf 0 -14 24 28",
            "e green -18 2 20 17",
            "e green 18 2 20 17", "e green 0 -24 19 18",
        ),
        _word(
            "tent", "t e n t",
            "p orange -46 36 0 -38 46 36", "p brown -14 36 0 -14 14 36",
            "l red 3 0 -38 0 -48",
        ),
        _word(
            "tie", "t a i",
            "p purple -12 -44 12 -44 7 -26 -7 -26",
            "p purple -7 -26 7 -26 18 26 0 46 -18 26",
            "p pink -9 -6 11 -12 13 -3 -11 4",
            "p pink -13 12 15 5 17 14 -16 22",
        ),
        _word(
            "train", "t r e n",
            "p red -44 -30 -12 -30 -12 22 -44 22", "p blue -12 -6 36 -6 36 22 -12 22",
            "p dark 18 -28 30 -28 28 -6 20 -6", "p sky -36 -22 -20 -22 -20 -6 -36 -6",
            "e black -28 28 11 11", "e black 2 30 9 9", "e black 26 30 9 9",
            "p grey 36 10 48 22 36 22",
        ),
    ),
}  # fmt: skip
