"""Names of classes in drawings: in fonts that have their letters, or else the number of the class."""

from functools import cache

from matplotlib import rcParams
from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font

# What matplotlib brings along to draw an empty box for any letter.
_NO_LETTERS = "Last Resort"


@cache
def lettered(name: str, number: int) -> tuple[str, tuple[str, ...]]:
    """Returns what to write for a class, and the families of fonts to write it in.

    Matplotlib's own font has Latin, Greek, Cyrillic, Arabic and Hebrew letters, but no Chinese, Japanese, Korean, Thai
    or Indian ones and few emoji: of these it would draw empty boxes, all alike. Fonts of the system are searched where
    a letter is missing, and only there.

    Args:
        name: What the class is called.
        number: Its place in the list of classes, from 0.

    Returns:
        The name and the families, the usual first; where no font has some letter, `class 7` for number 7.
    """
    usual = tuple(rcParams["font.family"])
    missing = set(name)
    missing -= _letters_in(findfont(FontProperties()), missing)
    candidates = {entry.name for entry in fontManager.ttflist if missing and _letters_in(entry.fname, missing)}
    further: list[str] = []
    for family in sorted(family for family in candidates if _NO_LETTERS not in family):
        # A family may have a letter in some of its faces only; asked for by its name it gives this one.
        found = _letters_in(findfont(family), missing)
        further += [family] if found else []
        missing -= found
    return (f"class {number}", usual) if missing else (name, (*usual, *further))


def _letters_in(file: str, letters: set[str]) -> set[str]:
    """Returns those of some letters that a font can draw; of pictures in fixed sizes, as of emoji, it draws none."""
    try:
        font = FT2Font(file)
    except (OSError, RuntimeError):
        return set()
    return {letter for letter in letters if font.scalable and font.get_char_index(ord(letter))}
