import pytest

from ofar_tf.checks import measurement
from ofar_tf.checks.measurement import Measurer, drops_too_far


@pytest.fixture
def measurer(network, images, labels, tmp_path):
    """A measurer that counts how often the evaluation images are asked for."""
    network.save(tmp_path / "net.keras")
    asked = []

    def batches():
        asked.append(1)
        return [(images, labels)]

    made = Measurer(tmp_path / "net.keras", batches, evaluation={"dataset": "test"}, threads=2)
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
    assert first.checks.passed and first.metrics.top1 == first.metrics.keras_top1 == 1.0
    asked = len(measurer.asked)
    again = Measurer(measurer.keras_path, measurer.batches, evaluation={"dataset": "test"}, threads=1)
    assert again.measure(path, precision="float32") == first
    assert len(measurer.asked) == asked
    other = Measurer(measurer.keras_path, measurer.batches, evaluation={"dataset": "other"}, threads=1)
    other.measure(path, precision="float32")
    assert len(measurer.asked) > asked


def test_another_file_of_the_same_name_is_measured_again(measurer, copy, converted):
    path = copy("float32")
    assert measurer.measure(path, precision="float32").checks.passed
    path.write_bytes(converted("int8").read_bytes())
    assert "differ from Keras" in measurer.measure(path, precision="float32").checks.reasons[0]


def test_an_int8_file_that_lost_more_than_a_point_is_marked(measurer, copy, monkeypatch):
    # The labels of two of 24 images are wrong for the file alone.
    true_accuracy = measurement.tflite_accuracy

    def lower(path, batches, *, threads):
        ((images, labels),) = batches
        labels = labels.copy()
        labels[:2] = (labels[:2] + 1) % 3
        return true_accuracy(path, [(images, labels)], threads=threads)

    monkeypatch.setattr(measurement, "tflite_accuracy", lower)
    result = measurer.measure(copy("int8"), precision="int8")
    assert not result.checks.passed
    assert result.checks.reasons == (
        "Its top-1 accuracy is 0.9167, more than 0.01 below the 1.0000 of its float32 parent on the same 24 images.",
    )


@pytest.mark.parametrize(("top1", "parent", "fails"), [(0.90, 0.91, False), (0.8999, 0.91, True), (0.95, 0.91, False)])
def test_a_drop_of_exactly_one_point_passes(top1, parent, fails):
    assert drops_too_far(top1, parent=parent) is fails
