"""An epoch of a search of all networks, with masks and with compact networks, and which of the two is chosen."""

import argparse
from pathlib import Path

import tensorflow as tf

from benchmarks import networks
from benchmarks.table import RESULTS, Row, print_rows, write_rows
from benchmarks.timing import seconds_of, time_in_turn
from ofar_tf.devices.processors import share_cores
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.training.search_execution import faster_execution
from ofar_tf.training.step_spec import StepSpec

RATES = (0.0, 0.3, 0.5, 0.7)

# Name, resolution, batch, and the images in an epoch.
EPOCHS = (
    ("MobileNetV2", 96, 32, 3_000),
    ("ResNet-20", 32, 128, 5_000),
    ("ResNet-20", 32, 128, 50_000),
)


def searching(network: str, execution: str, resolution: int) -> networks.OnceForAll:
    """Returns a trainer in the midst of its search."""
    model = networks.OnceForAll(
        networks.NETWORKS[network](),
        pool=PoolSpec.of(pruning_rates=RATES, resolutions=[resolution], rules=networks.RULES.get(network)),
        step=StepSpec(search_networks="sandwich", search_execution=execution),
    )
    model.compile(networks.sgd())
    model.set_masks(networks.random_masks(model, RATES), frozen=[False] * len(RATES))
    return model


def measure(repetitions: int) -> list[Row]:
    """Times steps and traces of both, and adds them up for epochs of several lengths."""
    share_cores()
    rows, timed = [], {}
    for network, resolution, size, images in EPOCHS:
        key = network, resolution, size
        if key not in timed:
            timed[key] = _step_and_trace(*key, repetitions=repetitions)
        model, rounds, trace = timed[key]
        steps = images // size
        masked, sliced = steps * rounds.median("masked"), steps * rounds.median("sliced") + trace
        macs = model.costs.macs(ChannelMask.full(model.groups), resolution)
        chosen = faster_execution(macs, images=images, accelerated=False)
        took = {"masked": masked, "sliced": sliced}
        title = f"{network} {resolution} px, {images:,} images"
        rows += [
            Row(f"{title}: search epoch, masked / sliced with its traces", masked / sliced),
            Row(f"{title}: the one chosen, {chosen} / the faster", took[chosen] / min(took.values()), "<= 1.1"),
        ]
    return rows


def _step_and_trace(network: str, resolution: int, size: int, *, repetitions: int):
    images, labels = networks.batch(size, resolution)
    runs, trace, model = {}, 0.0, None
    for execution in ("masked", "sliced"):
        model = searching(network, execution, resolution)
        step = tf.function(model.train_step, autograph=False)
        runs[execution] = lambda step=step: step((images, labels))["teacher_loss"].numpy()
        first = seconds_of(runs[execution])
        if execution == "sliced":
            trace = first - seconds_of(runs[execution])
    return model, time_in_turn(runs, repetitions=repetitions), trace


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "search_epoch.json")
    arguments = parser.parse_args()
    found = measure(arguments.repetitions)
    write_rows(arguments.output, found)
    print_rows(found)
