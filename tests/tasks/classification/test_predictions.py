import numpy as np
import pytest

from ofar_tf.tasks.answers import predictions_path, read_predictions, recall_predictions, write_predictions
from ofar_tf.tasks.classification.accuracy import AccuracyEvaluator, accuracy
from ofar_tf.tasks.classification.predictions import NO_CLASS, Predictions

SCORES = np.array(
    [[0.9, 0.1, 0, 0, 0, 0, 0], [0.1, 0.9, 0, 0, 0, 0, 0], [7, 6, 5, 4, 3, 2, 1], [0.5, np.nan, 0, 0, 0, 0, 0]],
    np.float32,
)
LABELS = np.array([0, 0, 6, 0])


@pytest.fixture
def predictions():
    return Predictions.of(lambda images: SCORES[images], [(np.arange(3), LABELS[:3]), (np.arange(3, 4), LABELS[3:])])


def test_the_answers_are_those_of_each_image(predictions):
    assert predictions.classes.tolist() == [0, 1, 0, NO_CLASS]
    assert predictions.ranks.tolist() == [0, 1, 5, 5]
    assert predictions.right.tolist() == [True, False, False, False]


def test_the_accuracy_is_the_one_that_is_counted_without_them(predictions):
    evaluator = AccuracyEvaluator()
    evaluator.update(SCORES, LABELS)
    counted = evaluator.result()
    assert predictions.scores == counted
    assert predictions.scores == accuracy(top1=0.25, top5=0.5, images=4)


def test_one_hot_labels_are_judged_as_the_classes_they_stand_for(predictions):
    shares = np.eye(SCORES.shape[1])[LABELS] * 0.9 + 0.1 / SCORES.shape[1]
    evaluator = AccuracyEvaluator()
    evaluator.update(SCORES, shares)
    assert evaluator.result() == predictions.scores
    found = Predictions.of(lambda images: SCORES[images], [(np.arange(4), shares)])
    np.testing.assert_array_equal(found.labels, LABELS)
    assert found.scores == predictions.scores


def test_an_image_without_a_class_agrees_with_nothing(predictions):
    assert predictions.agreement(predictions) == 0.75


def test_confusion_counts_what_each_class_is_taken_for(predictions):
    counts = predictions.confusion(7)
    assert counts[0].tolist() == [1, 1, 0, 0, 0, 0, 0] and counts[6, 0] == 1 and counts.sum() == 3


def test_what_is_stored_comes_back_for_the_same_key_only(predictions, tmp_path):
    path = predictions_path(tmp_path / "net_int8.tflite")
    assert path.name == "net_int8.predictions.npz"
    write_predictions(path, predictions, key={"sha256": "abc"})
    found = read_predictions(path, parse=Predictions.of_arrays, key={"sha256": "abc"})
    assert found.ranks.tolist() == predictions.ranks.tolist() and found.labels.tolist() == LABELS.tolist()
    assert (
        read_predictions(path, parse=Predictions.of_arrays, key={"sha256": "abd"}) is None
        and read_predictions(path, parse=Predictions.of_arrays) is not None
    )


def test_equal_predictions_give_equal_bytes_of_a_few_an_image(tmp_path):
    random = np.random.default_rng(0)
    labels, classes = random.integers(0, 10, (2, 10_000))
    for name in ("a", "b"):
        write_predictions(tmp_path / name / "x.npz", Predictions(labels, classes, labels % 6), key={})
    contents = {path.read_bytes() for path in tmp_path.rglob("x.npz")}
    assert len(contents) == 1 and len(contents.pop()) < 4 * 10_000


def test_they_are_made_once_and_again_when_the_file_is_damaged(predictions, tmp_path):
    path, made = tmp_path / "x.npz", []

    def make():
        made.append(1)
        return predictions

    for _ in range(2):
        recall_predictions(path, parse=Predictions.of_arrays, key={"a": 1}, compute=make)
    assert len(made) == 1
    for content in (b"", b"no zip", path.read_bytes()[:100]):
        path.write_bytes(content)
        recall_predictions(path, parse=Predictions.of_arrays, key={"a": 1}, compute=make)
    recall_predictions(path, parse=Predictions.of_arrays, key={"a": 2}, compute=make)
    assert len(made) == 5


@pytest.mark.parametrize(
    ("labels", "classes", "ranks"),
    [([], [], []), ([0], [0, 1], [0]), ([-1], [0], [0]), ([0], [-2], [0]), ([0], [0], [6]), ([0.5], [0], [0])],
)
def test_answers_that_make_no_sense_are_refused(labels, classes, ranks):
    arrays = [np.array(each, int) if each != [0.5] else np.array(each) for each in (labels, classes, ranks)]
    with pytest.raises(ValueError, match="Expected"):
        Predictions(*arrays)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match=r"Expected at least one image to measure accuracy on\. Received: none\."):
        Predictions.of(lambda images: SCORES, [])
