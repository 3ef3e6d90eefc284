import keras
import numpy as np
import pytest

from ofar_tf.conversion.keras_file import SavedMember, save_once
from ofar_tf.conversion.member import FamilyMember
from ofar_tf.evaluation.network_parity import NetworkParity


def member_of(build, *, origin="run", **options):
    return FamilyMember(
        id="net", structure="half", rate=0.5, resolution=2, macs=1, params=1, model=build, origin=origin, **options
    )


def make_image_model(weight=1.0):
    image = keras.Input((2, 2, 3), name="image")
    x = keras.layers.GlobalAveragePooling2D(name="mean")(image)
    model = keras.Model(image, keras.layers.Dense(1, name="score")(x), name="net")
    model.set_weights([np.full((3, 1), weight), np.zeros(1)])
    return model


def first_weight(path):
    return float(keras.saving.load_model(path).get_weights()[0][0, 0])


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net" / "net.keras"
    assert save_once(member_of(make_image_model), path, check_output=lambda shape: None) == SavedMember(parity=None)
    return path


def test_a_model_of_another_origin_is_written_again(saved):
    save_once(member_of(lambda: make_image_model(2.0), origin="another run"), saved, check_output=lambda shape: None)
    assert first_weight(saved) == 2.0


def test_a_damaged_file_is_written_again(saved):
    saved.write_bytes(b"half")
    save_once(member_of(make_image_model), saved, check_output=lambda shape: None)
    assert first_weight(saved) == 1.0


def test_a_model_of_one_origin_is_built_and_compared_once_and_its_parity_remembered(tmp_path):
    path, parity, built = tmp_path / "net.keras", NetworkParity(1e-7, 2e-7), []

    def build():
        built.append(1)
        return make_image_model()

    member = member_of(build, measure_parity=lambda model: parity)
    assert [save_once(member, path, check_output=lambda shape: None) for _ in range(2)] == [SavedMember(parity)] * 2
    assert len(built) == 1
