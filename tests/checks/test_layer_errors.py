import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from ofar_tf.checks.layer_error import LayerError, worst_layers, write_layer_errors
from ofar_tf.checks.layer_errors import layer_errors
from ofar_tf.checks.layer_outputs import LayerOutputs, layers_named
from ofar_tf.conversion.converter import convert
from ofar_tf.models import registry
from ofar_tf.tflite.file_graph import read_graph
from ofar_tf.tflite.gpu_delegate import gpu_refused

NETWORKS = {
    "mobilenet_v2": 0.1,
    "resnet8": 0.5,
    "vgg16": 0.125,
    "wide_resnet_10_1": 1.0,
}


@pytest.fixture(scope="module")
def reference(network):
    return LayerOutputs(network)


def random_network(name):
    """A built-in network nested in a classifier, with random BatchNorms."""
    random = np.random.default_rng(0)
    body = registry.build(name, classes=3, width_multiplier=NETWORKS[name], small_images=True)
    for weight in body.weights:
        if len(weight.shape) == 1:
            positive = weight.name in ("gamma", "moving_variance")
            weight.assign(random.uniform(0.5, 1.5, weight.shape) if positive else random.normal(0, 0.3, weight.shape))
    image = keras.Input((16, 16, 3))
    return keras.Model(image, keras.layers.Softmax()(body(image)))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_operator_of_a_float_file_is_the_layer_it_is_taken_for_and_runs_on_a_gpu(name, tmp_path, images):
    # A file of floats computes what Keras does: a wrong layer would differ.
    model, path = random_network(name), tmp_path / "net.tflite"
    path.write_bytes(convert(model, precision="float32"))
    errors = layer_errors(path, LayerOutputs(model), images[:2])
    assert max(error.noise for error in errors) < 1e-9
    # What has no layer: the first half of the rescaling, and of each normalization that no kernel comes before.
    operators = read_graph(path.read_bytes()).operators
    assert sum(operators.values()) - len(errors) == operators["MUL"]
    assert gpu_refused(path.read_bytes()) == {}


def test_the_last_layer_has_the_error_of_the_scores(converted, network, reference, images):
    path, (image,) = converted("int8_float_io"), images[:1].round()
    interpreter = Interpreter(model_path=str(path))
    scores = interpreter.get_signature_runner("serve")(image=image[np.newaxis])["probabilities"]
    expected = network(image[np.newaxis], training=False).numpy()
    by_hand = np.sum((scores - expected) ** 2) / np.sum(expected**2)
    last = layer_errors(path, reference, image[np.newaxis])[-1]
    assert last.layer == network.layers[-1].name and last.operator == "SOFTMAX"
    assert last.noise == pytest.approx(by_hand, rel=0.3)  # One step of the 8-bit scores may fall otherwise.


def test_the_layer_that_lost_its_weights_is_the_one_to_blame(network, reference, converted, images, tmp_path):
    broken = keras.models.clone_model(network)
    broken.set_weights(network.get_weights())
    (layer,) = (layer for layer in broken.layers if isinstance(layer, keras.layers.DepthwiseConv2D))
    layer.set_weights([np.round(weight) for weight in layer.get_weights()])
    path = tmp_path / "net.tflite"
    path.write_bytes(convert(broken, precision="float32"))
    errors = layer_errors(path, reference, images[:4])
    following = network.layers[[each.name for each in network.layers].index(layer.name) + 2]
    (worst,) = worst_layers(errors, 1)
    assert (worst.layer, worst.operator) == (following.name, "DEPTHWISE_CONV_2D")
    before = [error for error in errors if error.noise < 1e-9]
    assert [error.layer for error in before] == [network.layers[1].name, network.layers[4].name]


def test_more_bits_make_less_noise(converted, reference, images):
    noise = {
        precision: max(error.noise for error in layer_errors(converted(precision), reference, images[:4]))
        for precision in ("int8", "int16x8", "float16")
    }
    assert noise["int8"] > noise["int16x8"] > noise["float16"] > 0


@pytest.mark.parametrize(
    ("tensor", "layers"),
    [
        ("net_1/stem_relu_1/Relu;net_1/stem_bn_1/batchnorm/add_1;net_1/stem_1/convolution", {"stem", "stem_relu"}),
        ("model_1/quant_step12_stem/BiasAdd;model_1/quant_step12_stem/Conv2D1", {"stem"}),
        ("net_1/relu_1/Relu", {"relu", "relu_1"}),
        ("net_1/add_1/Add", {"add"}),
        ("StatefulPartitionedCall:0", set()),
    ],
)
def test_a_tensor_is_named_after_the_layers_that_make_it(tensor, layers):
    assert layers_named(tensor, ["stem", "stem_relu", "relu", "relu_1", "add"]) == layers


def test_the_worst_layers_come_first():
    errors = [LayerError("a", "ADD", 0.5, 0.1), LayerError("b", "MUL", 0.4, 0.3), LayerError("c", "ADD", 0.6, 0.2)]
    assert [error.layer for error in worst_layers(errors, 2)] == ["b", "c"]


def test_the_table_has_every_layer_with_its_ratio_of_signal_to_noise(tmp_path):
    write_layer_errors(tmp_path / "errors.csv", [LayerError("a", "ADD", 0.01, 0.005), LayerError("b", "ADD", 0.0, 0.0)])
    assert (tmp_path / "errors.csv").read_text() == (
        "layer,operator,noise,added,snr_db\na,ADD,0.01,0.005,20.00\nb,ADD,0,0,inf\n"
    )


@pytest.mark.parametrize(("noise", "added"), [(0.1, 0.2), (0.1, -0.1), (float("inf"), 0.1), (float("nan"), 0.0)])
def test_an_error_that_makes_no_sense_is_refused(noise, added):
    with pytest.raises(ValueError, match="Expected 0 <= added <= noise, finite"):
        LayerError("a", "ADD", noise, added)
