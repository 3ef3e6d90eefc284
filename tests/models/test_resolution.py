import keras
import pytest

from ofar_tf.models import build, resolution, smallest_resolution


@pytest.mark.parametrize(
    ("name", "small_images", "stride"),
    [
        ("mobilenet_v1", False, 32),
        ("mobilenet_v1", True, 8),
        ("mobilenet_v2", False, 32),
        ("mobilenet_v2", True, 8),
        ("resnet50", False, 32),
        ("resnet50", True, 8),
        ("vgg16", False, 32),
        ("vgg16", True, 16),
        ("resnet20", True, 4),
        ("wide_resnet_10_1", True, 4),
    ],
)
def test_the_total_stride_of_a_built_in_network_is_found(name, small_images, stride):
    assert smallest_resolution(build(name, classes=3, small_images=small_images)) == stride


def strided(times: int, *, padding: str = "same") -> keras.Sequential:
    layers = [keras.layers.Conv2D(3, 3, strides=2, padding=padding) for _ in range(times)]
    return keras.Sequential([keras.Input((None, None, 3)), *layers])


def test_strides_inside_nested_and_shared_models_count():
    inputs = keras.Input((None, None, 3))
    half = strided(1)
    top = keras.Sequential([strided(2), keras.layers.GlobalAveragePooling2D()])
    assert smallest_resolution(keras.Model(inputs, top(half(half(inputs))))) == 16


class Subclassed(keras.Model):
    def call(self, inputs):
        return keras.ops.mean(inputs, axis=(1, 2))


def test_a_subclassed_model_inside_is_taken_as_one_layer():
    inputs = keras.Input((None, None, 3))
    assert smallest_resolution(keras.Model(inputs, Subclassed()(strided(2)(inputs)))) == 4


def test_a_map_that_is_upsampled_again_counts():
    inputs = keras.Input((None, None, 3))
    outputs = keras.layers.UpSampling2D(8)(strided(3)(inputs))
    assert smallest_resolution(keras.Model(inputs, outputs)) == 8


def test_a_pooled_gate_does_not_count():
    inputs = keras.Input((None, None, 3))
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(inputs)
    outputs = keras.layers.Multiply()([strided(1)(inputs), keras.layers.Conv2D(3, 1)(gate)])
    assert smallest_resolution(keras.Model(inputs, outputs)) == 2


@pytest.mark.parametrize("fixed", [keras.layers.CenterCrop(24, 24), keras.layers.Resizing(24, 24)])
def test_a_map_whose_size_is_fixed_tells_nothing_of_the_stride(fixed):
    inputs = keras.Input((None, None, 3))
    assert smallest_resolution(keras.Model(inputs, strided(1)(fixed(strided(2)(inputs))))) == 4


def test_where_maps_fit_at_one_size_only_that_one_is_found(monkeypatch):
    inputs = keras.Input((None, None, 3))
    outputs = keras.layers.Concatenate()([keras.layers.Resizing(24, 24)(strided(1)(inputs)), inputs])
    assert smallest_resolution(keras.Model(inputs, outputs)) == 24
    other = keras.layers.Concatenate()([keras.layers.Resizing(25, 25)(inputs), inputs])
    monkeypatch.setattr(resolution, "_TRIES", 30)
    with pytest.raises(ValueError, match="which runs at no size"):
        smallest_resolution(keras.Model(inputs, [outputs, other]))


def test_unpadded_convolutions_need_what_they_cut_off():
    inputs = keras.Input((None, None, 3))
    # 15 -> 7 -> 3 -> 1 pixels; one less than 15 leaves the last convolution two pixels for its three.
    assert smallest_resolution(keras.Model(inputs, strided(3, padding="valid")(inputs))) == 15


def test_a_fixed_input_size_is_the_only_one():
    inputs = keras.Input((96, 96, 3))
    assert smallest_resolution(keras.Model(inputs, strided(2)(inputs))) == 96


def test_the_model_is_left_as_it_was():
    model = build("resnet20", classes=3)
    weights = [variable.path for variable in model.variables]
    smallest_resolution(model)
    assert [variable.path for variable in model.variables] == weights
    assert model.get_layer("stem").output.shape == (None, None, None, 16)


def test_a_layer_that_cannot_be_copied_is_what_is_named():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Lambda(lambda x: 2.0 * x)(image))
    with pytest.raises(ValueError, match=r"^Expected layers that can be copied .* Received: Lambda ") as caught:
        smallest_resolution(model)
    assert "\n" not in str(caught.value)
