import csv
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ofar_tf.evaluation.results_log import ResultsLog, draw_curves
from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.tasks.classification.accuracy import METRIC
from ofar_tf.tasks.task import Scores
from ofar_tf.text.size import Size

LOSSES = {"teacher_loss": 1.5, "student_loss": 0.25}
COLUMNS = [
    *("epoch", "phase", "learning_rate", "teacher_loss", "student_loss"),
    *("structure", "rate", "resolution", "macs", "params", "top1", "top5", "images"),
]


def measure(model):
    """Two structures, whose accuracy tells the epoch."""
    return [
        SubnetRow(name, rate, Size(12, 12), 1000, 100, Scores(METRIC, {"top1": model.epoch / part, "top5": 1.0}, 10))
        for name, rate, part in (("large", 0.25, 10), ("small", 0.5, 20))
    ]


def run(folder, epochs, *, of=4, done=0, every=1, search=2):
    """Runs the callback over epochs, counted from 1; returns the logs of the last."""
    paths = folder / "results.csv", folder / "curves.png"
    log = ResultsLog(*paths, metric=METRIC, measure=measure, every=every, done=done)
    log.set_params({"epochs": of})
    for epoch in epochs:
        # The search ends, and with it the learning rate changes, before this callback's turn.
        phase = "search" if epoch <= search else "joint"
        model = SimpleNamespace(epoch=epoch, phase=phase, optimizer=SimpleNamespace(learning_rate=0.5))
        log.set_model(model)
        log.on_epoch_begin(epoch - 1)
        model.phase, model.optimizer.learning_rate = "search" if epoch < search else "joint", 0.125
        logs = dict(LOSSES)
        log.on_epoch_end(epoch - 1, logs)
    return logs


def rows(folder):
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_epoch_and_subnet_has_a_row(tmp_path):
    run(tmp_path, [1, 2, 3, 4])
    found = rows(tmp_path)
    assert list(found[0]) == COLUMNS
    assert [(row["epoch"], row["structure"], row["top1"]) for row in found[:3]] == [
        ("1", "large", "0.1"),
        ("1", "small", "0.05"),
        ("2", "large", "0.2"),
    ]
    assert len(found) == 8
    assert (found[0]["teacher_loss"], found[0]["student_loss"], found[0]["macs"]) == ("1.5", "0.25", "1000")
    assert (tmp_path / "curves.png").stat().st_size > 0


@pytest.mark.parametrize(("shares", "label", "scores"), [(True, "Top-1 accuracy (%)", [50]), (False, "Error", [0.5])])
def test_curves_are_in_the_unit_of_the_metric(shares, label, scores):
    metric = METRIC if shares else replace(METRIC, shares=False, title="error")
    row = {"structure": "large", "epoch": "1", "phase": "joint", "top1": "0.5"}
    (axes,) = draw_curves([row], metric).axes
    assert axes.get_ylabel() == label
    assert list(axes.lines[0].get_ydata()) == scores


def test_phase_and_learning_rate_are_those_the_epoch_began_with(tmp_path):
    run(tmp_path, [1, 2, 3])
    assert [row["phase"] for row in rows(tmp_path)[::2]] == ["search", "search", "joint"]
    assert {row["learning_rate"] for row in rows(tmp_path)} == {"0.5"}


def test_the_accuracies_are_in_the_logs_for_the_progress_bar_and_tensorboard(tmp_path):
    assert run(tmp_path, [1, 2]) == {**LOSSES, "val_large_top1": 0.2, "val_small_top1": 0.1}


def test_rows_of_epochs_that_a_resumed_run_repeats_are_replaced(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "resumed").mkdir()
    run(tmp_path / "whole", [1, 2, 3, 4])
    run(tmp_path / "resumed", [1, 2, 3])
    run(tmp_path / "resumed", [3, 4], done=2)  # Killed before the third epoch was saved.
    assert (tmp_path / "resumed/results.csv").read_bytes() == (tmp_path / "whole/results.csv").read_bytes()


def test_epochs_between_measurements_are_left_out_but_the_last_is_not(tmp_path):
    assert run(tmp_path, [1, 2, 3, 4, 5], of=5, every=3)["val_large_top1"] == 0.5
    assert [row["epoch"] for row in rows(tmp_path)[::2]] == ["3", "5"]


@pytest.mark.parametrize("text", ["epoch,top1\n1,0.5\n", "a\nb\n", ",".join(COLUMNS) + "\n1,search\n"])
def test_a_table_of_another_kind_is_refused(tmp_path, text):
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(ValueError, match="with the columns epoch, phase"):
        run(tmp_path, [])


def test_measuring_every_0_epochs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one epoch between measurements"):
        run(tmp_path, [1], every=0)
