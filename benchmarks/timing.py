"""Ratios between things timed in turn in one process."""

import statistics
import time
from collections.abc import Callable, Mapping


def median_seconds(runs: Mapping[str, Callable[[], object]], *, repetitions: int) -> dict[str, float]:
    """Times several functions in turn, so that what else the machine does hits all of them alike.

    Args:
        runs: Functions by name, each of which returns only when its work is done.
        repetitions: How often each is timed, after one run that is not.

    Returns:
        The median duration of each, in seconds.
    """
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repetitions):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def seconds_of(run: Callable[[], object]) -> float:
    """Returns how long one run takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
