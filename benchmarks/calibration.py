"""What statistics of its own are worth to each network: `python -m benchmarks.calibration RUN_DIR [--images=N]`.

Every structure of a finished run is measured at every resolution with BatchNorm statistics of the whole supernet at the
largest resolution (sliced), with its own of the largest resolution, with its own pooled over the resolutions, and with
those of that structure and resolution.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ofar_tf.evaluation.batch_norm_calibration import CalibratedNetwork, PooledStatistics, Statistics, evaluate
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.slicing import kept_indices, slice_array
from ofar_tf.run.finished_run import FinishedRun
from ofar_tf.text.size import Size

# The score with each kind of statistics, by structure and resolution.
Scores = Mapping[str, Mapping[tuple[str, Size], float]]
KINDS = ("of the supernet", "of the largest resolution", "pooled over resolutions", "its own")


def pooled(statistics: Sequence[Statistics]) -> Statistics:
    """Pools statistics of the same network over as many images each, as if all had been one batch.

    Args:
        statistics: At least one, of the same BatchNorms.

    Returns:
        Mean and biased variance of each BatchNorm.
    """
    found = PooledStatistics([len(mean) for mean, _ in statistics[0]])
    for each in statistics:
        found.add(each, images=1)
    return found.result()


def sliced(statistics: Statistics, trained: TrainedPool, mask: ChannelMask) -> Statistics:
    """Cuts the statistics of the whole supernet down to the channels that a mask keeps."""
    indices = [
        kept
        for weight, kept in zip(trained.supernet.weights, kept_indices(trained.groups, mask), strict=True)
        if weight.name == "moving_mean"
    ]
    return [
        (slice_array(mean, kept), slice_array(variance, kept))
        for (mean, variance), kept in zip(statistics, indices, strict=True)
    ]


def measure(trained: TrainedPool) -> Scores:
    """Measures every structure at every resolution with each kind of statistics.

    Args:
        trained: A pool whose structures are cut out of the supernet's weights.
    """
    names = [structure.name for structure in trained.pool]
    networks = trained.accuracy.calibrated(trained.pool.masks, resolutions=trained.resolutions)
    own = [{size: network.statistics(size) for size in trained.resolutions} for network in networks]
    largest = trained.resolutions[0]
    (whole,) = trained.accuracy.calibrated([ChannelMask.full(trained.groups)], resolutions=[largest])
    cut = [sliced(whole.statistics(largest), trained, mask) for mask in trained.pool.masks]
    chosen = {
        "of the supernet": lambda index, size: cut[index],
        "of the largest resolution": lambda index, size: own[index][largest],
        "pooled over resolutions": lambda index, size: pooled(list(own[index].values())),
        "its own": lambda index, size: own[index][size],
    }
    scores: dict[str, Mapping[tuple[str, Size], float]] = {}
    for kind in KINDS:
        for index, size in product(range(len(networks)), trained.resolutions):
            networks[index].adopt(chosen[kind](index, size), resolution=size)
        scores[kind] = _scores(trained, networks, names)
    return scores


def _scores(
    trained: TrainedPool, networks: Sequence[CalibratedNetwork], names: Sequence[str]
) -> Mapping[tuple[str, Size], float]:
    measured = evaluate(
        networks, trained.images.evaluation(), resolutions=trained.resolutions, judge=trained.task.evaluator
    )
    return {(names[index], size): scores.best for (index, size), scores in measured.items()}


def write(path: Path, scores: Scores) -> None:
    """Writes a row for each structure and resolution."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["structure", "resolution", *KINDS])
        for place in scores["its own"]:
            rows.writerow([*place, *(f"{scores[kind][place]:.4f}" for kind in KINDS)])


def print_scores(scores: Scores) -> None:
    """Prints the same table in per cent."""
    table = Table("structure", "resolution", *KINDS)
    for structure, size in scores["its own"]:
        table.add_row(structure, str(size), *(f"{100 * scores[kind][structure, size]:.1f} %" for kind in KINDS))
    Console(width=140).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir")
    parser.add_argument("--data_dir", help="Where the data set lies now, if it has moved.")
    parser.add_argument("--images", type=int, help="Measure on this many images only.")
    parser.add_argument("--csv", type=Path, help="Where to write the table too.")
    arguments = parser.parse_args()
    run = FinishedRun(arguments.run_dir, data_dir=arguments.data_dir, eval_images=arguments.images)
    found = measure(run.trained_pool)
    print_scores(found)
    if arguments.csv:
        write(arguments.csv, found)
