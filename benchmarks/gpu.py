"""What an accelerator makes of the sandwich: the script for the day on which there is one.

    python -m benchmarks.gpu steps --network=MobileNetV2-1.5x --format=mixed_bfloat16
    python -m benchmarks.gpu quickstart
    python -m benchmarks.gpu tests
    python -m benchmarks.gpu table

Each command ends within nine minutes on one GPU and adds its rows to `results/gpu.json`; the last one prints them all.
`python -m benchmarks.device_waits` says when the device did nothing, and what it sent the host.
`--toy` runs the same at a size that a processor carries, without saying anything about speed.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.quickstart import CHECKOUT, FLAGFILE, command
from benchmarks.table import RESULTS, Row, print_rows, read_rows, write_rows
from benchmarks.timing import Rounds, seconds_of, time_in_turn

FORMATS = ("float32", "mixed_bfloat16", "XLA")


@dataclass(frozen=True)
class Case:
    """A network as the paper trains it.

    Attributes:
        network: Its name in `benchmarks.networks`.
        rates: Pruning rates of its pool, the smallest first.
        resolutions: The sizes that it is trained at, the largest first.
        size: Images of a batch, or of a part of one where the paper's batch is accumulated.
    """

    network: str
    rates: tuple[float, ...] = (0.25, 0.49, 0.64, 0.8)
    resolutions: tuple[int, ...] = (224, 192, 160, 128)
    size: int = 256

    def toy(self) -> "Case":
        """Returns the same network on inputs that a processor carries."""
        return replace(self, rates=(self.rates[0], self.rates[-1]), resolutions=(32, 24), size=4)


CASES = {
    case.network: case
    for case in (
        Case("MobileNetV2-1.5x"),
        Case("MobileNetV1-1.5x"),
        Case("ResNet-50", rates=(0.25, 0.45, 0.6, 0.75), size=128),
        Case("WRN-28-10", rates=(0.35, 0.4, 0.45), resolutions=(32, 28, 24, 20), size=128),
        Case("ResNet-20", rates=(0.0, 0.3, 0.5, 0.7), resolutions=(32, 24), size=128),
    )
}


def steps(case: Case, *, number_format: str, repetitions: int) -> list[Row]:
    """Times a sandwich step against native training steps of its networks, and looks at memory and at the device.

    XLA compiles each network for each size, so it is timed at the largest alone.
    """
    import tensorflow as tf

    from benchmarks import networks

    policy, compiled = ("float32", True) if number_format == "XLA" else (number_format, False)
    resolutions = case.resolutions[:1] if compiled else case.resolutions
    images, labels = networks.batch(case.size, resolutions[0])
    target = tf.one_hot(labels, networks.CLASSES)
    model = trainer_of(case, resolutions, dtype_policy=policy, jit_compile=compiled)
    step = tf.function(model.train_step, autograph=False)
    native = networks.NativeSteps(model, fused=True, dtype_policy=policy, compiled=compiled)

    def begin() -> Any:
        return step((images, labels))["teacher_loss"]

    runs = {
        "sandwich": lambda: begin().numpy(),
        "native": lambda: native.run(images, target),
        "largest": lambda: native.run_largest(images, target),
    }
    title = f"{case.network} {resolutions[0]}-{resolutions[-1]} px, batch {case.size}, {number_format}"
    for run in runs.values():
        run()  # Tracing and the choice of kernels take memory and time that no later step takes.
    memory = {name: _peak_of(run) for name, run in runs.items()}
    rounds = time_in_turn(runs, repetitions=repetitions)
    return [
        *_speed_rows(title, case, rounds),
        *_memory_rows(title, memory),
        *busy(title, begin, steps=repetitions),
    ]


def trainer_of(case: Case, resolutions: tuple[int, ...], **arguments: Any) -> Any:
    """Returns the trainer of a case, each of whose steps runs every structure."""
    from benchmarks import networks

    return networks.frozen_trainer(
        case.network, case.rates, resolutions, networks_per_step="all", weight_decay=0.0, **arguments
    )


def _speed_rows(title: str, case: Case, rounds: Rounds) -> list[Row]:
    networks = len(case.rates)
    return [
        Row(f"{title}: sandwich step, ms", 1e3 * rounds.median("sandwich")),
        Row(f"{title}: sandwich step / {networks} native steps", rounds.ratio("sandwich", "native")),
        Row(f"{title}: images a second, {networks} networks each", case.size / rounds.median("sandwich")),
        Row(f"{title}: images a second, the largest network alone", case.size / rounds.median("largest")),
    ]


def _peak_of(run: Callable[[], object]) -> int | None:
    """Returns the most bytes that the accelerator held during a run; None on a processor, which does not count them."""
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        run()
        return None
    tf.config.experimental.reset_memory_stats("GPU:0")
    run()
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def _memory_rows(title: str, peaks: dict[str, int | None]) -> list[Row]:
    sandwich, largest = peaks["sandwich"], peaks["largest"]
    if sandwich is None or largest is None:
        return []
    return [
        Row(f"{title}: peak memory of the sandwich, GB", sandwich / 1e9),
        Row(f"{title}: peak memory / of its largest network", sandwich / largest, "<= 1.15"),
    ]


def busy(title: str, step: Callable[[], Any], *, steps: int) -> list[Row]:
    """Looks at some steps with TensorFlow's profiler: how much of their time the accelerator computes.

    Args:
        title: What the rows are called.
        step: Begins a step that was traced before, and returns a tensor that is there when the step is done.
        steps: How many steps to look at.
    """
    from benchmarks.profiler import profiled

    with profiled(planes="/device:GPU") as events:
        # As in training, nobody waits for a step before the next is begun.
        seconds = seconds_of(lambda: [step() for _ in range(steps)][-1].numpy())
    kernels = [(event.name, event.start, event.end) for event in events if event.line.startswith("Stream")]
    fetches = sum("MemcpyD2H" in name for name, _, _ in kernels)
    return [
        Row(f"{title}: profiled step, ms", 1e3 * seconds / steps),
        Row(f"{title}: share of the time that the device is busy", _covered(kernels) / 1e9 / seconds, ">= 0.9"),
        Row(f"{title}: kernels of a step", len(kernels) / steps),
        Row(f"{title}: copies from the device to the host, a step", fetches / steps),
    ]


def _covered(kernels: Iterable[tuple[str, float, float]]) -> float:
    """Returns how many nanoseconds at least one of them runs."""
    total, until = 0.0, 0.0
    for _, start, end in sorted(kernels, key=lambda kernel: kernel[1]):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def quickstart(*, toy: bool) -> list[Row]:
    """Trains, evaluates and exports the quick start."""
    shorter = ["--epochs=2", "--search_epochs=1", "--train_split=train[:256]", "--validation_every=0"] if toy else []
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "train": [f"--flagfile={FLAGFILE}", *shorter, f"--run_dir={folder}"],
            "evaluate": [f"--run_dir={folder}"],
            "export": [f"--run_dir={folder}", "--only=all"],
        }
        if toy:
            del commands["export"]
        return [
            Row(f"quick start, seconds: {name}", seconds_of(partial(command, name, *flags)))
            for name, flags in commands.items()
        ]


def tests(*, toy: bool) -> list[Row]:
    """Runs the tests of training and of distribution; 1 where they pass."""
    which = ["tests/training/test_sandwich.py"] if toy else ["tests/training", "tests/devices"]
    ended = subprocess.run([sys.executable, "-m", "pytest", "-q", *which], cwd=CHECKOUT, check=False)
    return [Row(f"tests pass: {' '.join(which)}", float(ended.returncode == 0), ">= 1")]


def keep(path: Path, rows: list[Row]) -> list[Row]:
    """Adds rows to those of earlier commands, in place of any of the same name, and writes them all."""
    known = {row.name: row for row in (read_rows(path) if path.is_file() else [])}
    known |= {row.name: row for row in rows}
    write_rows(path, list(known.values()))
    return list(known.values())


def main(arguments: argparse.Namespace) -> None:
    """Runs one command."""
    if arguments.what == "table":
        print_rows(read_rows(arguments.output))
        return
    case = CASES[arguments.network].toy() if arguments.toy else CASES[arguments.network]
    measure = {
        "steps": lambda: steps(case, number_format=arguments.format, repetitions=2 if arguments.toy else 10),
        "quickstart": lambda: quickstart(toy=arguments.toy),
        "tests": lambda: tests(toy=arguments.toy),
    }[arguments.what]
    found = measure()
    keep(arguments.output, found)
    print_rows(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("steps", "quickstart", "tests", "table"))
    parser.add_argument("--network", choices=CASES, default="MobileNetV2-1.5x")
    parser.add_argument("--format", choices=FORMATS, default="float32")
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--output", type=Path, default=RESULTS / "gpu.json")
    main(parser.parse_args())
