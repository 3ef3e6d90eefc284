"""Ratios between things timed in turn in one process."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rounds:
    """What several functions took, round by round.

    Attributes:
        seconds: The durations of each function, by name, one for each round.
    """

    seconds: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """Returns the median duration of a function, in seconds."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """Returns the median over the rounds of one duration divided by another.

        Both sides of each ratio were timed within moments: where the machine becomes slower for a while, as shared
        ones do, a ratio of medians could take its sides from different times.
        """
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        return statistics.median(one / two for one, two in pairs)


def time_in_turn(runs: Mapping[str, Callable[[], object]], *, repetitions: int) -> Rounds:
    """Times several functions in turn, so that what else the machine does hits all of them alike.

    Args:
        runs: Functions by name, each of which returns only when its work is done.
        repetitions: How often each is timed, after one run that is not.

    Returns:
        The durations.
    """
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repetitions):
        for name, run in runs.items():
            seconds[name].append(seconds_of(run))
    return Rounds(seconds)


def seconds_of(run: Callable[[], object]) -> float:
    """Returns how long one run takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
