"""When an accelerator did nothing in a step, between which operators, and what it sent the host, which waited for it.

    python -m benchmarks.device_waits --network=ResNet-20

The host waits where it must know a number that the device computes: a shape, a choice, the count of steps. It starts no
kernels meanwhile, so that the device has none when it is done.
"""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from benchmarks import networks
from benchmarks.gpu import CASES, Case, trainer_of
from benchmarks.profiler import Event, profiled

_SHOWN = 60


class Gap(NamedTuple):
    """A time in which no kernel ran.

    Attributes:
        milliseconds: How long it was.
        after: The operator whose kernel ended last.
        before: The one whose kernel came next.
    """

    milliseconds: float
    after: str
    before: str


def gaps(events: Sequence[Event]) -> list[Gap]:
    """Returns when no kernel ran, the longest first.

    Args:
        events: What ran on the streams of a device, in any order.
    """
    found: list[Gap] = []
    last: Event | None = None
    for event in sorted(events, key=lambda each: each.start):
        if last is not None and event.start > last.end:
            found.append(Gap((event.start - last.end) / 1e6, _called(last), _called(event)))
        if last is None or event.end > last.end:
            last = event
    return sorted(found, reverse=True)


def sent(events: Sequence[Event]) -> list[str]:
    """Returns whose results were copied to the host, in the order of time."""
    return [_called(each) for each in sorted(events, key=lambda each: each.start) if "MemcpyD2H" in each.name]


def _called(event: Event) -> str:
    return event.operator or event.name


def look(case: Case) -> list[Event]:
    """Runs a step under the profiler, when those before it have traced it and chosen its kernels."""
    images, labels = networks.batch(case.size, case.resolutions[0])
    step = tf.function(trainer_of(case, case.resolutions).train_step, autograph=False)
    for _ in range(5):
        step((images, labels))["teacher_loss"].numpy()
    with profiled(planes="/device:GPU") as events:
        step((images, labels))["teacher_loss"].numpy()
    return [event for event in events if event.line.startswith("Stream")]


def show(events: Sequence[Event], *, most: int = 20) -> None:
    """Prints the longest gaps and all that was sent."""
    found = gaps(events)
    print(f"{len(events)} kernels and copies; nothing ran for {sum(gap.milliseconds for gap in found):.1f} ms")
    for gap in found[:most]:
        print(f"{gap.milliseconds:8.3f} ms after ...{gap.after[-_SHOWN:]}, before ...{gap.before[-_SHOWN:]}")
    for operator in sent(events):
        print(f"sent to the host: {operator}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=CASES, default="MobileNetV2-1.5x")
    show(look(CASES[parser.parse_args().network]))
