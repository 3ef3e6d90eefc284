import importlib.util
import sys

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from ofar_tf.conversion import mixed_rounding as module
from ofar_tf.conversion.mixed_rounding import PACKAGE, Bits, Samples, layers_of
from ofar_tf.conversion.precision import ALGORITHMS
from ofar_tf.family.export_spec import ExportSpec
from ofar_tf.run.export_config import ExportConfig
from ofar_tf.tflite.file_graph import operator_names, read_subgraph


@pytest.fixture(scope="module")
def content(converted):
    return converted("float32").read_bytes()


@pytest.fixture(scope="module")
def rounded(content, images):
    """The file of an algorithm, convolutions and dense layers in 4 bits, for images of which one is brighter."""
    pytest.importorskip(PACKAGE)
    fours = tuple(layer for layer in layers_of(content) if layer.operator in ("CONV_2D", "FULLY_CONNECTED"))
    given = np.concatenate([np.clip(images, 0, 100), np.full_like(images[:1], 255)])
    return {name: Samples(content, given, algorithm=name).quantized(Bits(fours=fours)) for name in ALGORITHMS}


def inputs_of(content, operator, place):
    """For each operator of a kind, the quantization and the values of one of its inputs."""
    graph, interpreter = read_subgraph(content), Interpreter(model_content=content)
    found = []
    for index, name in enumerate(operator_names(content)):
        if name == operator:
            tensor = graph.Operators(index).Inputs(place)
            found.append((graph.Tensors(tensor).Quantization(), interpreter.get_tensor(tensor)))
    return found


def test_layers_are_the_operators_with_their_weights(content):
    layers = layers_of(content)
    assert [layer.operator for layer in layers] == operator_names(content)
    # The stem has 3 x 3 x 3 x 8 weights, the depthwise convolution 3 x 3 x 8, the last 1 x 1 convolution 8 x 8.
    assert [layer.weights for layer in layers if "CONV" in layer.operator] == [216, 72, 64]
    assert len({layer.name for layer in layers}) == len(layers)


def test_ranges_reach_from_the_least_to_the_largest_value_of_any_image(rounded):
    for content in rounded.values():
        graph = read_subgraph(content)
        first = graph.Tensors(graph.Operators(0).Outputs(0)).Quantization()  # Of QUANTIZE, which reads the image.
        assert operator_names(content)[0] == "QUANTIZE"
        np.testing.assert_allclose(first.ScaleAsNumpy(), [255 / 255], rtol=1e-3)


@pytest.mark.parametrize("operator", ["CONV_2D", "FULLY_CONNECTED"])
def test_min_max_and_gptq_span_the_weights_of_each_channel_and_octav_no_more(content, rounded, operator):
    floats = [np.abs(kernel).reshape(len(kernel), -1).max(1) for _, kernel in inputs_of(content, operator, 1)]
    scales = {
        name: np.concatenate([each.ScaleAsNumpy() for each, _ in inputs_of(made, operator, 1)])
        for name, made in rounded.items()
    }
    spanning = np.concatenate(floats) / 7  # 4 bits, symmetric: -7 to 7.
    np.testing.assert_allclose(scales["min_max"], spanning, rtol=1e-2)
    if operator == "FULLY_CONNECTED":
        np.testing.assert_allclose(scales["gptq"], spanning, rtol=1e-2)
    assert (scales["octav"] <= scales["min_max"]).all() and (scales["octav"] < scales["min_max"]).any()


def test_each_algorithm_gives_another_file_of_the_same_size(rounded):
    assert len(set(rounded.values())) == len(ALGORITHMS)
    assert len(set(map(len, rounded.values()))) == 1


def test_gptq_writes_integers_near_the_weights(content, images):
    # The library writes the floats themselves as if they were integers where it has not seen what the layer reads.
    pytest.importorskip(PACKAGE)
    made = Samples(content, images, algorithm="gptq").quantized(Bits())
    ((_, expected),) = inputs_of(content, "FULLY_CONNECTED", 1)
    ((quantization, kernel),) = inputs_of(made, "FULLY_CONNECTED", 1)
    scale = quantization.ScaleAsNumpy()[:, np.newaxis]
    assert kernel.dtype == np.int8
    assert (np.abs(kernel * scale - expected) < 10 * scale).all()


def test_the_layers_that_rounding_hurts_come_first(content, images):
    pytest.importorskip(PACKAGE)
    samples = Samples(content, images)
    stem = next(layer for layer in layers_of(content) if layer.operator == "CONV_2D")
    in_floats = operator_names(samples.quantized(Bits(floats=(stem,))))
    assert in_floats.count("QUANTIZE") + in_floats.count("DEQUANTIZE") > 2
    sorted_layers = samples.by_error(samples.quantized(Bits()))
    assert sorted(sorted_layers, key=LAYERS_KEY) == sorted(layers_of(content), key=LAYERS_KEY)


def LAYERS_KEY(layer):  # noqa: N802
    return layer.name


def test_without_the_extra_the_export_is_refused_before_it_begins(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == PACKAGE else real(name))
    with pytest.raises(ValueError, match=r"pip install 'ofar-tf\[quantization\]'\. Received: none\.$"):
        ExportSpec(precisions=("float32", "mixed"))
    assert ExportSpec(precisions=("int8",)).precisions == ("int8",)


def test_an_unknown_algorithm_is_refused_before_the_export_begins():
    with pytest.raises(
        ValueError, match=r"^Expected one of min_max, octav, gptq to round weights by\. Received: mixed"
    ):
        ExportSpec(mixed_algorithm="nearest")


def test_the_flag_offers_what_there_is():
    field = ExportConfig.__dataclass_fields__["mixed_algorithm"]
    assert field.metadata["choices"] == ALGORITHMS and field.default == ExportSpec().mixed_algorithm


def test_the_extra_is_not_loaded_without_need():
    assert PACKAGE not in vars(sys.modules[module.__name__])
