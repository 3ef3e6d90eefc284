import keras
import numpy as np
import pytest

from ofar_tf.atomic_file import sha256_of
from ofar_tf.deploy.keras_file import model_digest, save_once


def make_model(weight=1.0):
    image = keras.Input((2,), name="image")
    model = keras.Model(image, keras.layers.Dense(1, name="score")(image), name="net")
    model.set_weights([np.full((2, 1), weight), np.zeros(1)])
    return model


def test_the_digest_sees_weights_and_architecture():
    image = keras.Input((2,), name="image")
    other = keras.Model(image, keras.layers.Dense(1, activation="relu", name="score")(image), name="net")
    other.set_weights(make_model().get_weights())
    digests = [model_digest(model) for model in (make_model(), make_model(), make_model(2.0), other)]
    assert digests[0] == digests[1] and len(set(digests)) == 3


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net" / "net.keras"
    save_once(make_model(), path)
    return path


def test_the_same_model_is_not_written_again(saved):
    written = saved.stat().st_mtime_ns
    save_once(make_model(), saved)
    assert saved.stat().st_mtime_ns == written


def test_a_changed_model_is_written_again(saved):
    before = sha256_of(saved)
    save_once(make_model(2.0), saved)
    assert sha256_of(saved) != before
    assert keras.saving.load_model(saved).get_weights()[0].tolist() == [[2.0], [2.0]]


def test_a_damaged_file_is_written_again(saved):
    saved.write_bytes(b"half")
    save_once(make_model(), saved)
    assert keras.saving.load_model(saved).get_weights()[0].tolist() == [[1.0], [1.0]]
