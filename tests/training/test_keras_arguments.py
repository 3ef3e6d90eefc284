import numpy as np
import pytest

from ofar_tf.training.keras_arguments import check_fit


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, r"Expected epochs of at least 1\. Received: epochs=0\.$"),
        ({"epochs": 2.5}, r"Expected epochs of at least 1\. Received: epochs=2\.5\.$"),
        ({"batch_size": 0}, r"Expected batch_size of at least 1\. Received: batch_size=0\.$"),
        ({"steps_per_epoch": -1}, r"Expected steps_per_epoch of at least 1\. Received: steps_per_epoch=-1\.$"),
        ({"class_weight": {0: 1, 3: 2}}, r"class_weight for labels from 0 to 2\. Received: a weight for 3\.$"),
        ({"class_weight": {"cat": 1}}, r"class_weight for labels from 0 to 2\. Received: a weight for 'cat'\.$"),
        ({"class_weight": {0: -1}}, r"Expected class weights of 0 or more\. Received: -1 for 0\.$"),
        ({"class_weight": {1: float("nan")}}, r"Expected class weights of 0 or more\. Received: nan for 1\.$"),
        ({"class_weight": {1: "2"}}, r"Expected class weights of 0 or more\. Received: '2' for 1\.$"),
    ],
)
def test_arguments_that_would_train_nothing_or_weigh_nothing_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        check_fit(given, classes=3)


def test_arguments_that_make_sense_pass():
    weights = dict(zip(np.arange(3), np.array([0.0, 1.0, 2.5], np.float32), strict=True))
    check_fit({"epochs": np.int64(2), "batch_size": None, "class_weight": weights}, classes=3)
    check_fit({"class_weight": {7: 1}}, classes=None)
