"""Tables of several processes brought together by nothing but sums."""

import os
from collections.abc import Callable, Sequence

import numpy as np

Total = Callable[[np.ndarray], np.ndarray]
_LOTS = 4096


def gathered(tables: Sequence[np.ndarray], total: Total) -> list[list[np.ndarray]]:
    """Gives every process the tables of all.

    Args:
        tables: float64 [rows, columns] each; only rows differ between processes.
        total: Sums an array over the processes, all of which must call it.

    Returns:
        The tables of each process; the order of processes is any, and the same in all of them.
    """
    processes, place = _place(total)
    lengths = np.zeros((processes, len(tables)))
    lengths[place] = [len(table) for table in tables]
    lengths = total(lengths).astype(int)
    parts: list[list[np.ndarray]] = [[] for _ in range(processes)]
    for index, table in enumerate(tables):
        stacked = np.zeros((processes, lengths[:, index].max(), table.shape[1]))
        stacked[place, : len(table)] = table
        for part, own, length in zip(parts, total(stacked), lengths[:, index], strict=True):
            part.append(own[:length])
    return parts


def _place(total: Total) -> tuple[int, int]:
    """Draws lots for the order of the processes; returns how many there are and which this one is."""
    while True:
        lots = np.zeros(_LOTS)
        own = int.from_bytes(os.urandom(8), "little") % _LOTS
        lots[own] = 1.0
        drawn = total(lots)
        if drawn.max() == 1.0:
            return int(drawn.sum()), int(drawn[:own].sum())
