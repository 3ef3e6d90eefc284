"""TensorFlow's profiler: what ran while something was looked at, and when."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2


class Event(NamedTuple):
    """Something that ran.

    Attributes:
        name: What the profiler calls it.
        start: Nanoseconds since some moment.
        end: The same.
        thread: The number of the line that it stands on: of a thread or a stream.
        line: What that line is called.
        operator: The operator of TensorFlow that it belongs to, as far as the profiler says it: on an accelerator.
    """

    name: str
    start: float
    end: float
    thread: int
    line: str
    operator: str = ""


@contextmanager
def profiled(*, planes: str = "") -> Iterator[list[Event]]:
    """Looks at what runs inside of the block.

    Args:
        planes: How the names of the parts of the machine begin that are looked at; all of them by default.

    Yields:
        A list that holds what ran, when the block is done.
    """
    events: list[Event] = []
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        try:
            yield events
        finally:
            tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        space.ParseFromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    events += (event for plane in space.planes if plane.name.startswith(planes) for event in _events_of(plane))


def _events_of(plane: Any) -> Iterator[Event]:
    names = {number: each.name for number, each in plane.stat_metadata.items()}
    for line in plane.lines:
        for event in line.events:
            start = line.timestamp_ns + event.offset_ps / 1e3
            name = plane.event_metadata[event.metadata_id].name
            operator = _operator(event, names)
            yield Event(name, start, start + event.duration_ps / 1e3, line.id, line.name, operator)


def _operator(event: Any, names: Mapping[int, str]) -> str:
    told = (each for each in event.stats if names[each.metadata_id] == "tf_op")
    return next((each.str_value or names[each.ref_value] for each in told), "")
