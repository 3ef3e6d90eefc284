"""What takes minutes to find out and can be found out again: kept in the user's cache folder."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

from ofar_tf.files import atomic_file

Value = TypeVar("Value")


def cache_folder() -> Path:
    """Returns the folder: `ofar_tf` below `XDG_CACHE_HOME` or `~/.cache`; it need not exist, and may be none.

    A user without a home, as in a container that is run with any number, has a path where nothing can be: as it stands,
    `~` would be a folder of that name wherever a command is run.
    """
    given = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111, Path.home raises.
    return Path(os.devnull if given.startswith("~") else given) / "ofar_tf"


def remembered(
    key: str, make: Callable[[], Mapping[str, np.ndarray]], *, read: Callable[[Mapping[str, np.ndarray]], Value]
) -> Value:
    """Returns what arrays say, as they were made before, or makes them.

    Args:
        key: A digest of all that they depend on, hexadecimal.
        make: Makes them.
        read: Reads a value from them. Anybody may have written the file: where this raises, they are made again.

    Returns:
        The value.
    """
    path = cache_folder() / f"{key[:32]}.npz"
    # A damaged file makes the readers of zip files and arrays raise almost anything.
    with suppress(Exception), path.open("rb") as file, np.load(file) as archive:
        return read(dict(archive))
    made = make()
    with suppress(OSError), atomic_file.replacing(path) as temporary:
        np.savez(temporary, allow_pickle=False, **made)
    return read(made)
