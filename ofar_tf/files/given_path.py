"""Paths as people write them."""

import os
from pathlib import Path


def given_path(text: str | os.PathLike[str]) -> Path:
    """Returns a path in which a leading `~` is the home directory, and `~ada` that of Ada.

    Unlike `Path.expanduser`, this raises nothing: where there is no such user or no home, it is a name like others.

    Args:
        text: The path.
    """
    return Path(os.path.expanduser(text))  # noqa: PTH111
