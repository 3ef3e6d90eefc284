import pytest

from ofar_tf.checks import measurement
from ofar_tf.checks.measurement import Measurer
from ofar_tf.tasks.answers import predictions_path, read_predictions
from ofar_tf.tasks.classification.predictions import Predictions
from ofar_tf.tasks.classification.task import Classification


@pytest.fixture
def measurer(network, images, labels, tmp_path):
    """A measurer that counts how often the evaluation images are asked for."""
    network.save(tmp_path / "net.keras")
    asked = []

    def batches():
        asked.append(1)
        return [(images, labels)]

    made = Measurer(tmp_path / "net.keras", Classification(3), batches, evaluation={"dataset": "test"}, threads=2)
    object.__setattr__(made, "asked", asked)
    return made


@pytest.fixture
def copy(converted, tmp_path):
    """Copies a converted file to where records may be written."""

    def make(precision):
        path = tmp_path / f"net_{precision}.tflite"
        path.write_bytes(converted(precision).read_bytes())
        return path

    return make


def test_a_file_is_measured_once_and_again_when_something_changes(measurer, copy, converted):
    path = copy("float32")
    first = measurer.measure(path, precision="float32")
    assert first.checks.passed and first.metrics.best == first.metrics.keras == 1.0
    asked = len(measurer.asked)
    again = Measurer(measurer.keras_path, measurer.task, measurer.batches, evaluation={"dataset": "test"}, threads=1)
    assert again.measure(path, precision="float32") == first
    assert len(measurer.asked) == asked
    other = Measurer(measurer.keras_path, measurer.task, measurer.batches, evaluation={"dataset": "other"}, threads=1)
    other.measure(path, precision="float32")
    assert len(measurer.asked) > asked


def test_another_file_of_the_same_name_is_measured_again(measurer, copy, converted):
    path = copy("float32")
    assert measurer.measure(path, precision="float32").checks.passed
    path.write_bytes(converted("int8").read_bytes())
    assert "differ from Keras" in measurer.measure(path, precision="float32").checks.reasons[0]


@pytest.fixture
def mislead(monkeypatch):
    """Makes the TFLite files give a wrong class for the first images."""
    true_answers = measurement.tflite_answers

    def mislead(count):
        def answers(path, batches, *, task, threads):
            ((images, labels),) = batches
            wrong = labels.copy()
            wrong[:count] = (wrong[:count] + 1) % 3
            found = true_answers(path, [(images, wrong)], task=task, threads=threads)
            return Predictions(labels, found.classes, found.ranks)

        monkeypatch.setattr(measurement, "tflite_answers", answers)

    return mislead


def test_an_int8_file_that_surely_lost_more_than_a_point_is_marked(measurer, copy, mislead):
    mislead(20)
    checks = measurer.measure(copy("int8"), precision="int8").checks
    assert checks.verdict == "failed" and (checks.accuracy.losses, checks.accuracy.gains) == (20, 0)
    assert checks.reasons[0].startswith("Its top-1 accuracy is more than 0.01 below that of its Keras parent: of the ")


def test_an_int8_file_that_lost_two_of_24_images_passes_with_a_warning(measurer, copy, mislead):
    mislead(2)
    result = measurer.measure(copy("int8"), precision="int8")
    assert result.checks.passed and result.checks.verdict == "cannot_tell" and result.metrics.best == 22 / 24
    assert result.checks.warning.startswith("24 images cannot tell whether it loses more than 1 point")


def test_agreement_is_that_of_all_images_and_the_answers_lie_beside_the_file(network, make_images_at, copy, tmp_path):
    network.save(tmp_path / "net.keras")
    images = make_images_at(count=50)
    labels = network.predict(images, verbose=0).argmax(-1)
    path = copy("int8")
    batches = [(images[:30], labels[:30]), (images[30:], (labels[30:] + 1) % 3)]
    made = Measurer(tmp_path / "net.keras", Classification(3), lambda: batches, evaluation={}, threads=2)
    result = made.measure(path, precision="int8")
    answers, parent = (
        read_predictions(place, parse=Predictions.of_arrays)
        for place in (predictions_path(path), tmp_path / "net.predictions.npz")
    )
    assert len(answers.labels) == len(parent.labels) == 50 and parent.classes.tolist() == labels.tolist()
    assert result.checks.argmax_agreement == (answers.classes == labels).mean() and result.checks.images == 30
    assert result.metrics.best == answers.scores.best == pytest.approx(0.6, abs=0.05)
    predictions_path(path).unlink()
    assert made.measure(path, precision="int8") == result and predictions_path(path).exists()
