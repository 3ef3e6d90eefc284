"""Where the time of a step goes: TensorFlow's profiler on the sandwich, as a table and as a file for a trace viewer.

Not part of `make benchmark`. `python -m benchmarks.step_profile` writes `results/trace.json.gz`, which chrome://tracing
and https://ui.perfetto.dev open. An operation's milliseconds are those of the wall clock while it ran; where two ran
at the same time, each gets half.
"""

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
from rich.console import Console
from rich.table import Table

from benchmarks import networks
from benchmarks.profiler import Event, profiled
from benchmarks.step_time import SANDWICH
from benchmarks.table import RESULTS

STEPS = 5


@dataclass(frozen=True)
class Operation:
    """One run of one operation.

    Attributes:
        kind: Its type, `Conv2D` for instance.
        thread: The thread that it ran on.
        start: Nanoseconds since some moment.
        end: The same.
    """

    kind: str
    thread: int
    start: float
    end: float


def operations(events: Iterable[Event]) -> Iterator[Operation]:
    """Picks the operations out of what the profiler saw."""
    for event in events:
        name, _, kind = event.name.rpartition(":")
        # Others are the profiler's names for C++ functions, and for whole traced functions.
        if name and not name.endswith(":") and not kind.lstrip().startswith("__"):
            yield Operation(kind.strip(), event.thread % 2**31, event.start, event.end)


def shares(found: Sequence[Operation]) -> Counter[str]:
    """Divides the time in which anything ran among the kinds of operations, in milliseconds."""
    edges = sorted(edge for each in found for edge in ((each.start, 1, each.kind), (each.end, -1, each.kind)))
    running: Counter[str] = Counter()
    total: Counter[str] = Counter()
    before = edges[0][0]
    for time, change, kind in edges:
        for other, count in running.items():
            total[other] += (time - before) / 1e6 * count / running.total()
        running[kind] += change
        running += Counter()  # Drops what no longer runs.
        before = time
    return total


def profile(network: str, *, resolutions: tuple[int, ...], size: int) -> list[Operation]:
    """Runs some steps under the profiler, after two that are not looked at."""
    model = networks.frozen_trainer(network, SANDWICH, resolutions)
    batch = networks.batch(size, resolutions[0])
    step = tf.function(model.train_step, autograph=False)
    for _ in range(2):
        step(batch)["teacher_loss"].numpy()
    with profiled() as events:
        for _ in range(STEPS):
            step(batch)["teacher_loss"].numpy()
    return list(operations(events))


def write_trace(path: Path, found: Sequence[Operation]) -> None:
    """Writes operations in the format of Chrome's trace viewer."""
    events = [
        {
            "name": each.kind,
            "ph": "X",
            "pid": 0,
            "tid": each.thread,
            "ts": each.start / 1e3,
            "dur": (each.end - each.start) / 1e3,
        }
        for each in found
    ]
    with gzip.open(path, "wt") as file:
        json.dump({"traceEvents": events}, file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "trace.json.gz")
    arguments = parser.parse_args()
    ran = profile("MobileNetV2", resolutions=(96, 80, 64, 48), size=32)
    arguments.output.parent.mkdir(exist_ok=True)
    write_trace(arguments.output, ran)
    table = Table("operation", "ms of a step", "times")
    times = Counter(each.kind for each in ran)
    for kind, milliseconds in shares(ran).most_common(20):
        table.add_row(kind, f"{milliseconds / STEPS:.1f}", f"{times[kind] / STEPS:.0f}")
    Console().print(table)
    print(f"Written: {arguments.output}")
