"""Lists as programs give them: any sequence, but not one entry in the place of many."""

from collections.abc import Iterable
from typing import Any

import numpy as np


def listed(name: str, given: Any) -> list[Any]:
    """Returns entries as a list, of Python's own numbers where an array holds them.

    Args:
        name: What they are called, for the message.
        given: A list, tuple, array or what else yields entries.

    Raises:
        ValueError: If it is a single number or text, which would be taken letter by letter, or nothing at all.
    """
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise ValueError(f"Expected {name} as a list. Received: {name}={given!r:.200}.")
    entries = list(given)
    return [entry.item() if isinstance(entry, np.generic) else entry for entry in entries]
