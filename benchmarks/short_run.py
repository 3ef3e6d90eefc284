"""A run of few steps, where graphs take longer to build than to run: all its epochs, by the way of the search.

Nine steps an epoch are what a folder of three hundred photographs gives.
"""

import argparse
from functools import partial
from pathlib import Path

import tensorflow as tf

from benchmarks import networks
from benchmarks.table import RESULTS, Row, print_rows, write_rows
from benchmarks.timing import seconds_of
from ofar_tf import models
from ofar_tf.devices.processors import share_cores
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.training.once_for_all import OnceForAll
from ofar_tf.training.search_execution import faster_execution
from ofar_tf.training.step_spec import StepSpec

RATES, RESOLUTIONS = (0.0, 0.3, 0.5, 0.7), (96, 80)
STEPS, SEARCH_EPOCHS, EPOCHS, BATCH = 9, 3, 6, 32


def trainer(name: str, execution: str) -> OnceForAll:
    """Builds the trainer; its graphs are built by the first steps."""
    supernet = models.build(name, classes=10, **({"width_multiplier": 0.35} if name == "mobilenet_v2" else {}))
    pool = PoolSpec.of(pruning_rates=RATES, resolutions=RESOLUTIONS)
    model = OnceForAll(supernet, pool=pool, step=StepSpec(search_execution=execution))
    model.compile(networks.sgd())
    return model


def train(model: OnceForAll) -> None:
    """Searches, and trains jointly."""
    data = tf.data.Dataset.from_tensors(networks.batch(BATCH, RESOLUTIONS[0])).repeat()
    search = MaskSearch(1.0, epochs=SEARCH_EPOCHS)
    model.fit(data, steps_per_epoch=STEPS, epochs=EPOCHS, callbacks=[search], verbose=0)


def measure(name: str) -> list[Row]:
    """Trains once in each way."""
    share_cores()
    seconds = {way: seconds_of(partial(train, trainer(name, way))) for way in ("masked", "sliced")}
    model = trainer(name, "masked")
    macs = model.costs.macs(ChannelMask.full(model.groups), RESOLUTIONS[0])
    chosen = faster_execution(macs, images=STEPS * BATCH, accelerated=False)
    title = f"{name}, {STEPS} steps an epoch, {SEARCH_EPOCHS} epochs of search and {EPOCHS - SEARCH_EPOCHS} joint"
    return [
        Row(f"{title}: seconds", seconds[chosen]),
        Row(f"{title}: {chosen}, as is chosen / sliced, traced anew", seconds[chosen] / seconds["sliced"], "<= 1"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="mobilenet_v2")
    parser.add_argument("--output", type=Path, default=RESULTS / "short_run.json")
    arguments = parser.parse_args()
    found = measure(arguments.network)
    write_rows(arguments.output, found)
    print_rows(found)
