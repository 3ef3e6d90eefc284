"""Which images decide the front of a pool, without a network being run."""

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from ofar_tf.evaluation import trained_pool
from ofar_tf.evaluation.pool_accuracy import PoolImages
from ofar_tf.evaluation.subnet_table import print_subnets, read_subnets, write_subnets
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.pruning.channel_groups import ChannelGroup
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool
from ofar_tf.tasks.classification.accuracy import METRIC
from ofar_tf.tasks.task import Scores
from ofar_tf.text.size import Size

GROUPS = (ChannelGroup("stem", 0, 4, ("conv", "bn"), (1,)),)


@pytest.fixture
def evaluated(monkeypatch):
    """Evaluates a pool of two structures whose accuracies are given by the images they are measured on."""

    def evaluate(accuracies, *, selection):
        monkeypatch.setattr(
            trained_pool,
            "evaluate",
            lambda networks, batches, *, resolutions, judge: {
                (index, resolutions[0]): Scores(METRIC, {"top1": top1, "top5": 1.0}, 1000)
                for index, top1 in enumerate(accuracies[batches])
            },
        )
        masks = [ChannelMask(GROUPS, np.arange(4) < kept) for kept in (4, 2)]
        networks = [PrunedNetwork(f"rate{i}", m.rate, m, 40 - i, 9, 1, True) for i, m in enumerate(masks)]
        images = PoolImages(lambda: None, lambda: "evaluation", (lambda: "selection") if selection else None)
        pool = TrainedPool(
            None,
            SimpleNamespace(outside=()),
            PrunedNetworkPool(tuple(networks)),
            (Size.of(16),),
            images,
            SimpleNamespace(evaluator=None),
        )
        stub = SimpleNamespace(statistics=lambda resolution: [])
        vars(pool)["accuracy"] = SimpleNamespace(calibrated=lambda masks, *, resolutions, used: [stub, stub])
        vars(pool)["_costs"] = SimpleNamespace(macs=lambda mask, resolution: 100 * int(mask.keep.sum()))
        return pool.evaluate().rows

    return evaluate


def test_without_a_selection_split_the_front_is_that_of_the_published_figures(evaluated):
    large, small = evaluated({"evaluation": (0.90, 0.80)}, selection=False)
    assert (large.pareto, small.pareto) == (True, True) and large.selection is None


def test_with_a_selection_split_it_decides_and_the_published_figures_stay_those_of_the_evaluation_split(evaluated):
    accuracies = {"evaluation": (0.90, 0.80), "selection": (0.805, 0.80)}
    large, small = evaluated(accuracies, selection=True)
    # Half a point on 1,000 images is noise: the large network is not worth its cost, whatever it is published with.
    assert (large.pareto, small.pareto) == (False, True)
    assert (large.scores.best, large.selection.best, small.scores.best) == (0.90, 0.805, 0.80)


def test_the_table_keeps_predicted_latencies_where_a_device_is_known(evaluated, tmp_path):
    rows = evaluated({"evaluation": (0.90, 0.80)}, selection=False)
    write_subnets(tmp_path / "subnets.csv", [replace(row, predicted_ms=row.macs / 100) for row in rows])
    again = read_subnets(tmp_path / "subnets.csv", METRIC)
    assert [row.predicted_ms for row in again] == [4.0, 2.0]
    console = Console(file=io.StringIO(), width=200)
    print_subnets(again, console=console)
    text = " ".join(console.file.getvalue().split())
    assert "~ms: predicted for the device of the run" in text
    text = (tmp_path / "subnets.csv").read_text().replace(",4.0", ",-4.0")
    (tmp_path / "subnets.csv").write_text(text)
    with pytest.raises(ValueError, match=r"Expected the table of ofar evaluate in .*a time of -4.0 milliseconds"):
        read_subnets(tmp_path / "subnets.csv", METRIC)


def test_the_table_keeps_the_accuracy_of_the_selection_split(evaluated, tmp_path):
    rows = evaluated({"evaluation": (0.90, 0.80), "selection": (0.85, 0.75)}, selection=True)
    write_subnets(tmp_path / "subnets.csv", rows)
    again = read_subnets(tmp_path / "subnets.csv", METRIC)
    assert [(row.selection.best, row.selection.images, row.merit, row.pareto) for row in again] == [
        (0.85, 1000, 0.85, True),
        (0.75, 1000, 0.75, True),
    ]
    header = (tmp_path / "subnets.csv").read_text().splitlines()[0]
    assert header.endswith("pareto,selection_top1,selection_images")
