import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.run.matrix.matrix_table import MatrixRow, SeedRow, mean_over_seeds, print_matrix, write_matrix, write_seeds
from ofar_tf.tasks.classification.accuracy import METRIC
from ofar_tf.tasks.task import Scores
from ofar_tf.text.size import Size


def measured(name: str, seed: int, *, macs: int, params: int, top1: float, resolution: int = 24) -> SeedRow:
    subnet = SubnetRow(
        "rate50", 0.5, Size.of(resolution), macs, params, Scores(METRIC, {"top1": top1, "top5": 1.0}, 100), pareto=True
    )
    return SeedRow(name, seed, subnet)


def mean_row(name: str, **facts: Any) -> MatrixRow:
    return MatrixRow(name, "rate50", Size(24, 24), metric=METRIC, **facts)


def test_seeds_are_averaged_and_their_spread_is_that_of_a_sample() -> None:
    # The accuracies are 0.1 from their mean at each end: (0.01 + 0 + 0.01) / 2 = 0.1 ** 2.
    (row,) = mean_over_seeds(
        [
            measured("a", 0, macs=1000, params=50, top1=0.7),
            measured("a", 4, macs=1010, params=51, top1=0.9),
            measured("a", 2, macs=1050, params=52, top1=0.8),
        ]
    )
    assert (row.name, row.structure, str(row.resolution), row.seeds) == ("a", "rate50", "24", (0, 4, 2))
    assert (row.macs, row.params) == (1020, 51)
    assert row.merit == pytest.approx(0.8)
    assert row.deviation == pytest.approx(0.1)


def test_what_choices_were_made_on_is_not_what_is_published() -> None:
    published, chosen_by = (Scores(METRIC, {"top1": top1, "top5": 1.0}, 100) for top1 in (0.7, 0.8))
    subnet = SubnetRow("rate50", 0.5, Size.of(24), 1000, 50, published, selection=chosen_by, pareto=True)
    (row,) = mean_over_seeds([SeedRow("a", 0, subnet)])
    assert row.mean == 0.7


def test_names_structures_and_resolutions_are_kept_apart() -> None:
    rows = mean_over_seeds(
        [
            measured("a", 0, macs=2000, params=50, top1=0.7),
            measured("a", 0, macs=1000, params=50, top1=0.6, resolution=16),
            measured("b", 0, macs=2000, params=50, top1=0.5),
        ]
    )
    found = [(row.name, str(row.resolution), row.merit) for row in rows]
    assert found == [("a", "24", 0.7), ("a", "16", 0.6), ("b", "24", 0.5)]
    assert {row.deviation for row in rows} == {None}


def test_the_tables_are_files_that_programs_can_read(tmp_path: Path) -> None:
    rows = [
        mean_row("a", macs=1005, params=50, mean=0.75, deviation=0.125, seeds=(0, 1)),
        mean_row("b", macs=1000, params=50, mean=0.5, deviation=None, seeds=(7,)),
    ]
    write_matrix(tmp_path / "matrix.csv", rows)
    assert (tmp_path / "matrix.csv").read_text().splitlines() == [
        "name,structure,resolution,macs,params,top1,top1_std,seeds,n",
        "a,rate50,24,1005,50,0.75,0.125,0 1,2",
        "b,rate50,24,1000,50,0.5,,7,1",
    ]
    write_seeds(tmp_path / "seeds.csv", [measured("a", 3, macs=1000, params=50, top1=0.5)])
    assert (tmp_path / "seeds.csv").read_text().splitlines() == [
        "name,seed,structure,rate,resolution,macs,params,top1,top5,images,pareto",
        "a,3,rate50,0.5,24,1000,50,0.5,1.0,100,True",
    ]


def test_the_printed_table_gives_mean_and_spread_in_per_cent() -> None:
    rows = [
        mean_row("a", macs=1_500_000, params=50_000, mean=0.75, deviation=0.0125, seeds=(0, 1)),
        mean_row("b", macs=1_000_000, params=50_000, mean=0.5, deviation=None, seeds=(7,)),
    ]
    screen = io.StringIO()
    print_matrix(rows, console=Console(file=screen, width=120))
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in screen.getvalue().splitlines() if "│" in line]
    assert lines == [
        ["a", "rate50", "24", "1.5M", "50K", "75.00 ± 1.25 %", "2"],
        ["b", "rate50", "24", "1M", "50K", "50.00 %", "1"],
    ]
