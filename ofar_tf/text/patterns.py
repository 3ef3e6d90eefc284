"""Names that fit patterns."""

from collections.abc import Iterable
from fnmatch import fnmatchcase


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Returns whether a name fits one of several patterns, in which `*` stands for anything."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
