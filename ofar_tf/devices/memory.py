"""The memory of the machine that this process may use."""

import os
from contextlib import suppress
from pathlib import Path

# Where Linux says what a container may use, in its second and its first version of control groups.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def usable_memory() -> int | None:
    """Returns bytes: all of the machine's memory, or what the container may use of it; None if that cannot be known."""
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has none of these.
        return None
    found = [installed]
    for limit in _LIMITS:
        with suppress(OSError, ValueError):  # Not a number is no limit: "max".
            found.append(int(limit.read_text()))
    return min(found)
