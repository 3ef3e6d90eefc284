"""Files of the same content under several names: copies of training images make an accuracy look too good."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ofar_tf.files import atomic_file

# Images of one size in bytes are common, but those that also end alike are hardly ever two images.
_END = 4096


def copies_among(paths: Sequence[Path]) -> list[list[Path]]:
    """Finds files of the same content. Few are read: of several of the same size the ends, and of equal ends the whole.

    Args:
        paths: Files that can be read, each named once.

    Returns:
        The files of each content that several have, in their order.
    """
    groups: Iterable[list[Path]] = [list(paths)]
    for key in (_size, _end, atomic_file.sha256_of):
        groups = [part for group in groups for part in _divided(group, key) if len(part) > 1]
    return list(groups)


def _divided(paths: Sequence[Path], key: Callable[[Path], Any]) -> Iterable[list[Path]]:
    parts = defaultdict(list)
    for path in paths:
        parts[key(path)].append(path)
    return parts.values()


def _size(path: Path) -> int:
    return path.stat().st_size


def _end(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _END))
        return file.read()
