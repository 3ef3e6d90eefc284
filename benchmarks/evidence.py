"""Differences between the runs of a matrix, paired by seed: `python -m benchmarks.evidence MATRIX_DIR --against=NAME`.

Structures are paired by their rank in multiply-adds at each resolution. An interval is Student's for the mean of the
paired differences; with three seeds it is wide, and it is printed all the same. A second table compares, within each
run, smaller images with more pruning at equal multiply-adds.
"""

import argparse
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import t as student

from ofar_tf.evaluation.subnet_table import read_subnets
from ofar_tf.tasks.classification.accuracy import METRIC
from ofar_tf.text.size import Resolution

# Resolution, and the rank of the structure by multiply-adds, the largest first.
Place = tuple[Resolution, int]
EVERYWHERE: Place = (0, 0)
# Multiply-adds and top-1 at each place, by seed.
Runs = dict[int, dict[Place, tuple[int, float]]]


@dataclass(frozen=True)
class Difference:
    """What one method reaches more than another at one place, in points of accuracy.

    Attributes:
        mean: Of the paired differences.
        margin: Half of the 95 % interval around it; infinite for a single pair.
        pairs: How many seeds both have.
    """

    mean: float
    margin: float
    pairs: int

    def __str__(self) -> str:
        margin = f" ± {self.margin:.1f}" if math.isfinite(self.margin) else ""
        return f"{self.mean:+.1f}{margin}"


def difference(one: Sequence[float], other: Sequence[float]) -> Difference:
    """Compares accuracies that were reached with the same seeds, in the same order.

    Args:
        one: Shares in [0, 1], at least one.
        other: As many.

    Raises:
        ValueError: If they are not as many, or none.
    """
    if len(one) != len(other) or not one:
        raise ValueError(f"Expected as many accuracies on both sides. Received: {len(one)} and {len(other)}.")
    points = [100 * (a - b) for a, b in zip(one, other, strict=True)]
    pairs = len(points)
    if pairs == 1:
        return Difference(points[0], math.inf, pairs)
    margin = float(student.ppf(0.975, pairs - 1)) * statistics.stdev(points) / math.sqrt(pairs)
    return Difference(statistics.mean(points), margin, pairs)


def read_run(path: Path) -> dict[Place, tuple[int, float]]:
    """Reads `subnets.csv`: the multiply-adds and the top-1 at each place."""
    rows = sorted(read_subnets(path, METRIC), key=lambda row: (row.resolution, row.macs), reverse=True)
    places: dict[Place, tuple[int, float]] = {}
    for row in rows:
        rank = sum(resolution == row.resolution for resolution, _ in places)
        places[row.resolution, rank] = row.macs, row.scores.best
    return places


def read_matrix(folder: Path) -> dict[str, Runs]:
    """Reads every finished run of a matrix, by name and seed."""
    runs: dict[str, Runs] = {}
    for path in sorted(folder.glob("*/seed_*/subnets.csv")):
        seed = int(path.parent.name.removeprefix("seed_"))
        runs.setdefault(path.parents[1].name, {})[seed] = read_run(path)
    return runs


def compare(runs: dict[str, Runs], name: str, *, against: str) -> dict[Place, Difference]:
    """Compares two methods at the places that both have, and at the mean of these places (`EVERYWHERE`)."""
    seeds = sorted(set(runs[name]) & set(runs[against]))
    if not seeds:
        return {}
    places = [place for place in runs[name][seeds[0]] if place in runs[against][seeds[0]]]
    found = {place: _paired(runs[name], runs[against], seeds=seeds, places=[place]) for place in places}
    return found | {EVERYWHERE: _paired(runs[name], runs[against], seeds=seeds, places=places)}


def _paired(one: Runs, other: Runs, *, seeds: Sequence[int], places: Sequence[Place]) -> Difference:
    """Compares the mean accuracies over some places."""
    sides = [[statistics.mean(runs[seed][place][1] for place in places) for seed in seeds] for runs in (one, other)]
    return difference(*sides)


def smaller_images(runs: Runs) -> dict[Place, Difference]:
    """Compares smaller images with more pruning, at equal multiply-adds and within each run (Section 3.2).

    Args:
        runs: Those of one method, by seed.

    Returns:
        What each network at a smaller resolution reaches more than one of as many multiply-adds at the largest
        resolution, whose accuracy is that between its neighbours' there, linear in the logarithm of multiply-adds.
        Networks that are cheaper or dearer than all at the largest resolution are left out.
    """
    first = next(iter(runs.values()))
    largest = max(size for size, _ in first)
    limits = [macs for (size, _), (macs, _) in first.items() if size == largest]
    places = [place for place, (macs, _) in first.items() if place[0] != largest and min(limits) <= macs <= max(limits)]
    return {
        place: difference(
            [run[place][1] for run in runs.values()],
            [_between(run, size=largest, macs=run[place][0]) for run in runs.values()],
        )
        for place in places
    }


def _between(run: dict[Place, tuple[int, float]], *, size: Resolution, macs: int) -> float:
    """The accuracy at a resolution for so many multiply-adds, between those of its networks."""
    curve = sorted(reached for place, reached in run.items() if place[0] == size)
    costs, accuracies = zip(*curve, strict=True)
    return float(np.interp(math.log(macs), np.log(costs), accuracies))


def print_smaller_images(matrix: dict[str, Runs]) -> None:
    """Prints for every method what smaller images bring at equal multiply-adds."""
    table = Table("run", "seeds", "smaller images against more pruning, points")
    for name, runs in matrix.items():
        first = next(iter(runs.values()))
        gains = [f"{first[place][0] / 1e6:.1f}M: {gain}" for place, gain in smaller_images(runs).items()]
        if gains:
            table.add_row(name, str(len(runs)), ", ".join(gains))
    Console(width=180).print(table)


def print_comparison(runs: dict[str, Runs], *, against: str) -> None:
    """Prints every method's differences to one of them."""
    places = list(next(iter(runs[against].values())))
    macs = {place: statistics.mean(run[place][0] for run in runs[against].values()) for place in places}
    table = Table("run", "seeds", *(f"{macs[place] / 1e6:.1f}M {place[0]} px" for place in places), "mean")
    base = [statistics.mean(100 * run[place][1] for run in runs[against].values()) for place in places]
    table.add_row(against, str(len(runs[against])), *(f"{top1:.1f} %" for top1 in [*base, statistics.mean(base)]))
    for name in (name for name in runs if name != against):
        found = compare(runs, name, against=against)
        table.add_row(
            name,
            str(found[EVERYWHERE].pairs if found else 0),
            *(str(found.get(place, "")) for place in [*places, EVERYWHERE]),
        )
    Console(width=180).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("matrix_dir", type=Path)
    parser.add_argument("--against", default="ofar")
    arguments = parser.parse_args()
    found = read_matrix(arguments.matrix_dir)
    print_comparison(found, against=arguments.against)
    print_smaller_images(found)
