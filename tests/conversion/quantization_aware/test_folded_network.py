import keras
import numpy as np
import pytest

from ofar_tf.conversion.quantization_aware.folded_network import fold, own_ranges
from ofar_tf.models.user_model import as_supernet

layers = keras.layers


def network(*stack, size=8):
    """A classifier of layers in a row."""
    image = x = keras.Input((size, size, 3))
    for layer in stack:
        x = layer(x)
    return keras.Model(image, layers.Softmax()(layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x))))


def kinds(model):
    return [step.kind for step in fold(model)]


def test_a_batch_norm_is_folded_into_the_convolution_before_it():
    convolution, norm = layers.Conv2D(1, 1), layers.BatchNormalization(epsilon=0.25)
    model = network(convolution, norm)
    convolution.set_weights([np.full((1, 1, 3, 1), 2.0), np.array([5.0])])
    norm.set_weights([np.array(values) for values in ([3.0], [7.0], [1.0], [2.0])])  # gamma, beta, mean, variance
    step = fold(model)[0]
    # gamma / sqrt(variance + epsilon) = 3 / 1.5 = 2; the kernel 2 * 2; the bias (5 - 1) * 2 + 7.
    assert (step.kind, step.inputs) == ("Conv2D", (0,))
    np.testing.assert_allclose(step.weights[0], np.full((1, 1, 3, 1), 4.0), rtol=1e-12)
    np.testing.assert_allclose(step.weights[1], [15.0], rtol=1e-12)


def test_each_output_of_a_depthwise_convolution_gets_its_own_scale():
    depthwise, norm = (
        layers.DepthwiseConv2D(1, depth_multiplier=2, use_bias=False),
        layers.BatchNormalization(epsilon=0),
    )
    model = network(depthwise, norm)
    depthwise.set_weights([np.ones((1, 1, 3, 2))])
    gamma = np.arange(1.0, 7.0)
    norm.set_weights([gamma, np.zeros(6), np.zeros(6), np.ones(6)])
    # Output c * 2 + m of the layer is the kernel's [c, m].
    np.testing.assert_allclose(fold(model)[0].weights[0][0, 0], [[1, 2], [3, 4], [5, 6]])


def test_a_rescaling_of_images_stays_a_layer_of_its_own():
    # Zeros that `same` padding puts in come after the rescaling, so it cannot move into the convolution.
    model = network(layers.Rescaling(0.5, offset=-1), layers.Conv2D(4, 3, padding="same"))
    first = fold(model)[0]
    assert kinds(model) == ["DepthwiseConv2D", "Conv2D", "GlobalAveragePooling2D", "Dense"]
    np.testing.assert_array_equal(first.weights[0].ravel(), [0.5] * 3)
    np.testing.assert_array_equal(first.weights[1], [-1] * 3)
    assert [step.constant for step in fold(model)] == [True, False, False, False]


def test_a_convolution_that_something_else_reads_too_is_left_alone():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1)(image)
    x = layers.Add()([x, layers.BatchNormalization()(x)])
    model = keras.Model(image, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    steps = fold(model)
    assert [(step.kind, step.inputs) for step in steps[:3]] == [
        ("Conv2D", (0,)),
        ("DepthwiseConv2D", (1,)),
        ("Add", (1, 2)),
    ]


def test_a_sum_of_three_is_two_sums():
    image = keras.Input((8, 8, 3))
    x = layers.Add()([image, layers.ReLU()(image), image])
    model = keras.Model(image, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    # What lies between the sums is a tensor of its own, which must have a range.
    assert [step.inputs for step in fold(model)] == [(0,), (0, 1), (2, 0), (3,), (4,)]
    assert own_ranges(fold(model)) == [True] * 5


def test_what_does_nothing_at_inference_is_left_out():
    model = network(
        *(layers.RandomFlip(), layers.RandomBrightness(0.2), layers.RandomCrop(8, 8)),
        *(layers.Dropout(0.5), layers.SpatialDropout2D(0.5), layers.GaussianNoise(1.0), layers.Identity()),
    )
    assert kinds(model) == ["GlobalAveragePooling2D", "Dense"]


def test_ranges_are_measured_where_tflite_rounds():
    stack = [
        *(layers.Conv2D(4, 1), layers.ReLU(6)),  # Fused: the range behind the ReLU counts.
        *(layers.Conv2D(4, 1), layers.LeakyReLU()),  # Not fused: both count.
        layers.MaxPooling2D(2),  # Hands on the range of what it reads.
        layers.Activation("sigmoid"),  # Always 0..1.
        *(layers.Conv2D(4, 1), layers.Activation("hard_swish")),  # HARD_SWISH rounds what it reads and what it gives.
    ]
    steps = fold(network(*stack))
    assert [(step.kind, ranged) for step, ranged in zip(steps, own_ranges(steps), strict=True)] == [
        ("Conv2D", False),
        ("ReLU", True),
        ("Conv2D", True),
        ("LeakyReLU", True),
        ("MaxPooling2D", False),
        ("Activation", False),
        ("Conv2D", True),
        ("Activation", True),
        ("GlobalAveragePooling2D", True),
        ("Dense", True),
    ]


def test_the_three_of_a_hard_sigmoid_goes_into_the_convolution_before_it():
    convolution = layers.Conv2D(1, 1, activation="hard_sigmoid")
    model = network(convolution)
    convolution.set_weights([np.full((1, 1, 3, 1), 2.0), np.array([5.0])])
    steps = fold(model)[:3]  # relu6(x + 3) / 6
    assert [step.kind for step in steps] == ["Conv2D", "ReLU", "DepthwiseConv2D"]
    np.testing.assert_allclose([*steps[0].weights[0].ravel(), *steps[0].weights[1]], [2, 2, 2, 8])
    np.testing.assert_allclose([*steps[2].weights[0].ravel(), *steps[2].weights[1]], [1 / 6, 0])
    assert [step.constant for step in steps] == [False, False, True]


@pytest.mark.parametrize(
    ("expression", "scale", "offset"),
    [
        (lambda x: x + 3.0, 1, 3),
        (lambda x: 3 + x, 1, 3),
        (lambda x: x - 3.0, 1, -3),
        (lambda x: 3.0 - x, -1, 3),
        (lambda x: 2.0 * x, 2, 0),
        (lambda x: x / 4.0, 0.25, 0),
        (lambda x: keras.ops.divide(x, 4.0), 0.25, 0),
    ],
)
def test_arithmetic_with_a_number_scales_and_shifts(expression, scale, offset):
    image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(expression(image))
    step = fold(keras.Model(image, layers.Dense(2, activation="softmax")(x)))[0]
    assert (step.kind, step.constant) == ("DepthwiseConv2D", True)
    np.testing.assert_array_equal(step.weights[0].ravel(), [scale] * 3)
    np.testing.assert_array_equal(step.weights[1], [offset] * 3)


def test_arithmetic_with_a_number_for_each_channel_scales_and_shifts_it():
    image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(image / np.array([1.0, 2.0, 4.0], "float32") + np.ones((1, 1, 3), "float32"))
    step = fold(keras.Model(image, layers.Dense(2, activation="softmax")(x)))[0]
    np.testing.assert_array_equal(step.weights[0].ravel(), [1, 0.5, 0.25])
    np.testing.assert_array_equal(step.weights[1], [1, 1, 1])


class OwnScale(keras.Layer):
    """Scales and shifts what its convolution gives by weights of its own."""

    def __init__(self):
        super().__init__()
        self.convolution = layers.Conv2D(2, 1)
        self.scale, self.shift = self.add_weight(shape=(2,), name="scale"), self.add_weight(shape=(), name="shift")

    def call(self, x):
        return self.convolution(x) * keras.ops.exp(self.scale) + self.shift


def test_weights_that_a_class_of_the_users_uses_itself_are_folded_into_the_kernel_before_them():
    block = OwnScale()
    model = as_supernet(network(block), reference="net")
    block.convolution.set_weights([np.full((1, 1, 3, 2), 2.0), np.array([5.0, 6.0])])
    block.scale.assign(np.log([3.0, 0.5]))
    by_name = {weight.path.split("/")[-2]: weight for weight in model.weights}
    by_name["own_scale_shift"].assign(np.reshape(7.0, by_name["own_scale_shift"].shape))
    steps = fold(model)
    assert [step.kind for step in steps] == ["Conv2D", "GlobalAveragePooling2D", "Dense"]
    np.testing.assert_allclose(steps[0].weights[0][0, 0], np.full((3, 2), [6, 1]), rtol=1e-6)
    np.testing.assert_allclose(steps[0].weights[1], [5 * 3 + 7, 6 * 0.5 + 7], rtol=1e-6)


def test_a_kernel_that_something_besides_its_relu_reads_has_a_range():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1)(image)
    x = layers.Add()([x, layers.ReLU()(x)])
    model = keras.Model(image, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    assert own_ranges(fold(model))[0]


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2


@pytest.mark.parametrize(
    ("layer", "title"),
    [
        (layers.Lambda(lambda x: keras.ops.minimum(x, 255.0), name="odd"), "Lambda 'odd'."),
        (layers.RandomCrop(4, 4, name="odd"), "RandomCrop 'odd'."),
        (Doubled(name="odd"), "Doubled 'odd'."),
        (layers.ReLU(max_value=4, name="odd"), "ReLU 'odd', which is neither ReLU nor ReLU6 nor LeakyReLU."),
        (layers.ReLU(threshold=1, name="odd"), "ReLU 'odd', which is neither ReLU nor ReLU6 nor LeakyReLU."),
        (layers.Conv2D(4, 1, activation="gelu", name="odd"), "Conv2D 'odd', whose activation is gelu."),
        (layers.BatchNormalization(axis=1, name="odd"), "BatchNormalization 'odd', whose axis is not the last."),
        (layers.Dense(4, name="odd"), r"Dense 'odd', whose input has the shape (None, 8, 8, 3)."),
        (layers.UpSampling2D(2, name="odd"), "UpSampling2D 'odd'."),
    ],
)
def test_a_layer_that_has_no_integer_form_is_refused_by_name(layer, title):
    with pytest.raises(ValueError) as error:
        fold(network(layer))
    assert str(error.value) == (
        f"Expected layers that quantization-aware training can run in 8-bit integers. Received: {title}"
    )


def test_grouped_convolutions_are_refused_by_name():
    with pytest.raises(ValueError, match="Conv2D 'odd', whose channels are in 2 groups"):
        fold(network(layers.Conv2D(4, 1), layers.Conv2D(4, 1, groups=2, name="odd")))


@pytest.mark.parametrize(
    "expression",
    [
        lambda x: x + np.ones((8, 8, 3), "float32"),
        lambda x: x + np.ones((8, 1), "float32"),
        lambda x: 6.0 / x,
        lambda x: keras.ops.maximum(x, 0.5),
        lambda x: x[:, :4],
    ],
)
def test_other_arithmetic_with_constants_is_refused(expression):
    image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(expression(image))
    with pytest.raises(ValueError, match="which combines a tensor with constants"):
        fold(keras.Model(image, layers.Dense(2, activation="softmax")(x)))


def test_vectors_are_normalized_as_images_of_one_pixel():
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="norm")(layers.GlobalAveragePooling2D()(image))
    steps = fold(keras.Model(image, layers.Dense(2, activation="softmax")(x)))
    assert [(step.kind, step.inputs) for step in steps[1:]] == [
        ("Reshape", (1,)),
        ("DepthwiseConv2D", (2,)),
        ("Flatten", (3,)),
        ("Dense", (4,)),
    ]


def test_what_is_neither_a_vector_nor_an_image_is_not_scaled():
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="norm")(layers.Reshape((8, 24))(image))
    with pytest.raises(ValueError, match=r"Expected vectors or images to be scaled .* Received: 'norm', of 3 dim"):
        fold(keras.Model(image, layers.Dense(2, activation="softmax")(layers.Flatten()(x))))


def test_a_model_of_logits_is_refused():
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(image)), name="net")
    with pytest.raises(ValueError, match="Expected a model that ends in a softmax"):
        fold(model)
