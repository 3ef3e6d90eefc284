import dataclasses

import numpy as np
import pytest

from ofar_tf.evaluation.pool_evaluation import PoolEvaluation, content_digest, read_evaluation, write_evaluation
from ofar_tf.evaluation.subnet_table import SubnetRow, write_subnets
from ofar_tf.tasks.classification.accuracy import METRIC
from ofar_tf.tasks.task import Scores
from ofar_tf.text.size import Size

ROW = SubnetRow("rate50", 0.5, Size(16, 16), 100, 10, Scores(METRIC, {"top1": 0.75, "top5": 1.0}, 40), pareto=True)
# Structures may have names with a slash of their own; more than ten layers tell whether numbers are sorted as numbers.
STATISTICS = [(np.full(3, index, np.float32), np.full(3, index + 0.1, np.float32)) for index in range(12)]


@pytest.fixture
def places(tmp_path):
    return {"path": tmp_path / "evaluation.npz", "table": tmp_path / "subnets.csv"}


@pytest.fixture
def written(places):
    evaluation = PoolEvaluation((ROW,), {("rate50", Size(16, 16)): STATISTICS, ("a/b", Size(16, 20)): STATISTICS[:1]})
    write_evaluation(places["path"], evaluation, table=places["table"], origin="this training")
    return evaluation


def read(places, *, origin="this training"):
    return read_evaluation(places["path"], table=places["table"], metric=METRIC, origin=origin, again="evaluate()")


def test_an_evaluation_is_read_as_it_was_written_to_the_last_bit(written, places):
    found = read(places)
    assert found.rows == written.rows and set(found.statistics) == set(written.statistics)
    for place, statistics in written.statistics.items():
        for pair, expected in zip(found.statistics[place], statistics, strict=True):
            for values, others in zip(pair, expected, strict=True):
                assert values.dtype == np.float32
                np.testing.assert_array_equal(values, others)


def test_a_table_that_was_edited_is_recognised_in_one_line(written, places):
    better = Scores(METRIC, {"top1": 0.99, "top5": 1.0}, 40)
    write_subnets(places["table"], [dataclasses.replace(ROW, scores=better)])
    with pytest.raises(
        ValueError, match=r"writes it; repeat that\. Received: one that was changed since\.$"
    ) as refusal:
        read(places)
    assert "\n" not in str(refusal.value) and "as evaluate() writes it" in str(refusal.value)


def test_a_table_of_another_training_is_recognised_in_one_line(written, places):
    with pytest.raises(ValueError, match=r"Received: that of another training\.$") as refusal:
        read(places, origin="another training")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("damage", ["missing", "truncated", "no archive", "nothing sealed"])
def test_without_an_archive_the_table_is_known_and_nothing_else(written, places, damage):
    whole = places["path"].read_bytes()
    if damage == "missing":
        places["path"].unlink()
    elif damage == "nothing sealed":
        np.savez(places["path"], other=np.zeros(3))
    else:
        places["path"].write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"x")
    assert read(places) == PoolEvaluation((ROW,))


def test_a_run_that_was_not_evaluated_is_refused(places):
    with pytest.raises(FileNotFoundError, match="Expected an evaluated run"):
        read(places)


def batches(*labels, first=1.0):
    return [(np.full((2, 4, 4, 3), first if index == 0 else 9.0), np.array(pair)) for index, pair in enumerate(labels)]


def test_images_are_known_by_their_labels_and_the_first_of_them_and_not_by_their_number():
    digest = content_digest(batches((0, 1), (2, 0)))
    assert digest == content_digest(batches((0, 1), (2, 0)))
    # As many images, of other labels in the last batch; other first images; and fewer images.
    for others in (batches((0, 1), (2, 1)), batches((0, 1), (2, 0), first=2.0), batches((0, 1))):
        assert content_digest(others) != digest
