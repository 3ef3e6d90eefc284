import keras
import numpy as np
import pytest

from ofar_tf.models.teacher import read_teacher


def saved(folder, activation, *, classes=3):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    outputs = keras.layers.Dense(classes, activation=activation)(x)
    path = folder / "teacher.keras"
    model = keras.Model(inputs, outputs)
    model.save(path)
    return model, str(path)


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_logits_and_probabilities_teach_the_same_way_and_nothing_is_trained(tmp_path, activation):
    model, path = saved(tmp_path, activation)
    images = np.random.default_rng(0).uniform(0, 3, (5, 8, 8, 3)).astype(np.float32)
    teacher = read_teacher(path, classes=3)
    expected = np.asarray(model(images))
    if activation is None:
        expected = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(keras.ops.softmax(teacher(images, training=False)), expected, rtol=1e-4, atol=1e-6)
    assert teacher.trainable_variables == []


def test_a_teacher_of_other_classes_or_of_a_sigmoid_is_refused(tmp_path):
    _, path = saved(tmp_path, None, classes=4)
    with pytest.raises(ValueError, match=r"tells the 3 classes of the data set apart\. Received: .*\(None, 4\)"):
        read_teacher(path, classes=3)
    _, path = saved(tmp_path, "sigmoid")
    with pytest.raises(ValueError, match=r"of logits or of a softmax\. Received: .*sigmoid"):
        read_teacher(path, classes=3)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_teacher(str(tmp_path / "none.keras"), classes=3)
