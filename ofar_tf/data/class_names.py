"""What a class may be called: one rule for every data set, every label file and every export."""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import Any

from ofar_tf.text.lists import listed

# Controls, line and paragraph separators, and the halves of characters that stand for bytes that are no text.
_FORBIDDEN = {
    "Cc": "a control character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
    "Cs": "bytes that are not UTF-8",
}
# Letters and a symbol by their category, but nothing is to be seen of them: Hangul's fillers and Braille's blank.
_BLANK_LETTERS = "\u115f\u1160\u3164\uffa0\u2800"


def names_in_order(given: Any, *, classes: int | None = None) -> list[str]:
    """Returns the class names that a program gives, in the order of the outputs.

    Args:
        given: A list, tuple or array of texts; or a dict of their places, as `class_indices` of Keras' generators, or
            of the names by their places.
        classes: How many there must be, or none; None for any number.

    Raises:
        ValueError: If they are in no order, as those of a set, which has another one in each process; no texts; or more
            or fewer.
    """
    if isinstance(given, Set):
        raise ValueError(f"Expected labels as a list, in the order of the outputs. Received: {type(given).__name__}.")
    if isinstance(given, Mapping):
        places = given if any(isinstance(each, str) for each in given) else {given[each]: each for each in given}
        if set(places.values()) != set(range(len(given))):
            raise ValueError(f"Expected labels with their places from 0 to {len(given) - 1}. Received: {given!r:.200}.")
        given = sorted(places, key=places.__getitem__)
    names = listed("labels", given)
    unknown = next((name for name in names if not isinstance(name, str)), "")
    if not isinstance(unknown, str):
        raise ValueError(f"Expected class names of one visible line each. Received: {unknown!r:.200}.")
    if names and classes not in (None, len(names)):
        raise ValueError(f"Expected {classes} labels, one for each class. Received: {len(names)}.")
    return names


def check_class_names(names: Sequence[str], *, where: str = "", least: int = 2) -> tuple[str, ...]:
    """Refuses class names that some later stage could not write, or that a person could not tell apart.

    Names become lines of label files, rows of tables and entries in TFLite metadata. So each is one visible line, and
    no two are equal once case, accents' encoding, surrounding blanks and invisible characters are set aside: a folder
    that a camera program called `Cat` is not another class than `cat`.

    Args:
        names: The K class names, in the order of the labels.
        where: What they were read from, for the message: a folder, a data set.
        least: How many there must be, 1 or 2.

    Returns:
        The names.

    Raises:
        ValueError: There are too few, or a name is no text, blank, of more than one line, or another one's
            double.
    """
    place = f" in {where}" if where else ""
    if len(names) < least:
        number = "two" if least > 1 else "one"
        raise ValueError(
            f"Expected {number} or more distinct class names{place}. Received: class_names={tuple(names)}."
        )
    for name in names:
        reason = _reason_against(name)
        if reason:
            raise ValueError(f"Expected class names of one visible line each{place}. Received: {_shown(name, reason)}.")
    alike = defaultdict(list)
    for name in names:
        alike[_without_appearance(name)].append(name)
    doubles = next((group for group in alike.values() if len(group) > 1), None)
    if doubles:
        raise ValueError(
            "Expected two or more distinct class names, which differ in more than case, blanks and invisible "
            f"characters{place}. Received: {' and '.join(ascii(name) for name in doubles)}."
        )
    return tuple(names)


def _reason_against(name: object) -> str | None:
    if not isinstance(name, str):
        return f"of type {type(name).__name__}"
    forbidden = [_FORBIDDEN[kind] for kind in map(unicodedata.category, name) if kind in _FORBIDDEN]
    if forbidden:
        return f"with {forbidden[0]}"
    return None if _without_appearance(name) else "blank"


def _shown(name: object, reason: str) -> str:
    return f"class name {name!a:.200} ({reason})"


def _without_appearance(name: str) -> str:
    """Returns what is left of a name for the eye, in one case; empty if that is nothing."""
    visible = (letter for letter in name if unicodedata.category(letter) != "Cf" and letter not in _BLANK_LETTERS)
    return " ".join(unicodedata.normalize("NFC", "".join(visible).casefold()).split())
